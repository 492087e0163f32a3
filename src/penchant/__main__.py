"""`penchant` and `python -m penchant`: Ctrl-C gives one line, even while torch is being imported."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def run() -> None:
    """Entry point of the `penchant` script."""
    # Imports make many objects and no garbage: looking for it as often as usual is a tenth of a short command's time.
    gc.set_threshold(50_000, 20, 100)
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # otherwise the parent process wants it ignored
        signal.signal(signal.SIGINT, _leave)
    from penchant.cli.main import run as run_commands

    signal.signal(signal.SIGINT, before)
    run_commands()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not an exception: raised during an import it may be swallowed (in a __del__) or leave modules half initialised.
    sys.stderr.write("penchant: interrupted before anything was done\n")
    sys.stderr.flush()
    os._exit(130)


if __name__ == "__main__":
    run()
