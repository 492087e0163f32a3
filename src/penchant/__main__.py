"""`penchant` and `python -m penchant`: Ctrl-C is one line even in the seconds in which torch is imported."""

from __future__ import annotations

import sys


def run() -> None:
    """Entry point of the `penchant` script."""
    try:
        from penchant.cli.main import run as run_commands
    except KeyboardInterrupt:
        sys.stderr.write("penchant: interrupted before anything was done\n")
        sys.exit(130)
    run_commands()


if __name__ == "__main__":
    run()
