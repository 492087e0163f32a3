"""`penchant` and `python -m penchant`: Ctrl-C is one line even in the seconds in which torch is imported."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def run() -> None:
    """Entry point of the `penchant` script."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else whoever started us wants it to be ignored
        signal.signal(signal.SIGINT, _leave)
    from penchant.cli.main import run as run_commands

    signal.signal(signal.SIGINT, before)
    run_commands()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not an exception: raised in the middle of an import it may be swallowed (in a __del__) or leave modules half made.
    sys.stderr.write("penchant: interrupted before anything was done\n")
    sys.stderr.flush()
    os._exit(130)


if __name__ == "__main__":
    run()
