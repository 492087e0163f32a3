"""An event loop in a thread of its own: how calls that aren't asynchronous wait for asynchronous work, and can be
interrupted meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import wait
from functools import cache
from typing import Any, TypeVar

from penchant.cancellation import check_cancelled

T = TypeVar("T")
_ASK = 0.1  # seconds between two checks whether to go on


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="penchant-endpoint", daemon=True).start()
    return loop


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the background's loop and return its result. If this thread is interrupted while it waits
    (Ctrl-C, `cancelled_by`), the coroutine is cancelled.
    """
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        while not wait([future], timeout=_ASK).done:
            check_cancelled()
        return future.result()
    except BaseException:
        future.cancel()
        raise
