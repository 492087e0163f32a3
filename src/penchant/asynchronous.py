"""The same calls for `asyncio`, each made from the synchronous one. They run in one worker thread, one after the other:
a model on one device gains nothing from two passes at a time, and two users' turns never mix.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack

from torch import nn

from penchant.cancellation import cancelled_by
from penchant.conversation.factory import ConversationOptions
from penchant.conversation.session import Conversation
from penchant.errors import InputError
from penchant.personalizer import Personalizer
from penchant.store import Store

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


class _Cancelled(BaseException):  # no Exception: nothing on the way may take it for a failure to recover from
    """Raised in the worker's next pass of the model, or while it waits for an endpoint, if nobody waits for its result
    any more.
    """


class _Worker:
    """One thread for all calls of one object, named `owner` in messages. A call that is cancelled ends at its next pass
    of the model (`decoder`; None: it runs none), or at once if it waits for an endpoint.
    """

    def __init__(self, owner: str, decoder: nn.Module | None = None) -> None:
        self._owner = owner
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penchant")
        self._call = threading.local()
        self._hook = None
        if decoder is not None:
            self._hook = decoder.register_forward_pre_hook(lambda module, args: self._check())

    async def run(self, function: Callable[[], R]) -> R:
        """Return the function's result. Raises `InputError` after `close`."""
        cancelled = threading.Event()
        try:
            future = self._thread.submit(self._in_thread, cancelled, function)
        except RuntimeError:
            raise InputError(f"this {self._owner} was closed: expected an open one; make another") from None
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def close(self) -> None:
        """Wait for the calls that are running, and end the thread."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._hook is not None:
            self._hook.remove()

    def _in_thread(self, cancelled: threading.Event, function: Callable[[], R]) -> R:
        self._call.cancelled = cancelled
        with cancelled_by(self._check):
            return function()

    def _check(self) -> None:
        cancelled = getattr(self._call, "cancelled", None)  # None: another thread, whose calls are none of ours
        if cancelled is not None and cancelled.is_set():
            raise _Cancelled


class _Twin(Generic[S]):
    """An object's calls in the worker thread. sync: the object."""

    def __init__(self, sync: S, worker: _Worker) -> None:
        self.sync, self._worker = sync, worker


def _awaited(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[_Twin[S], P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def call(self: _Twin[S], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._worker.run(partial(method, self.sync, *args, **kwargs))

    return call


def _streamed(
    method: Callable[Concatenate[S, P], Iterator[R]],
) -> Callable[Concatenate[_Twin[S], P], AsyncIterator[R]]:
    @wraps(method)
    async def call(self: _Twin[S], /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        run = self._worker.run
        pieces = await run(partial(method, self.sync, *args, **kwargs))
        try:
            while (piece := await run(partial(next, pieces, None))) is not None:
                yield piece
        finally:  # also if the caller is cancelled or stops listening: what is open in the stream is closed
            await asyncio.shield(run(getattr(pieces, "close")))  # noqa: B009  # an iterator; every stream has it

    return call


class _Closing(_Twin[S]):
    """A twin with a worker of its own: an async context manager."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for running calls, and end the worker."""
        await self._worker.close()


class AsyncConversation(_Twin[Conversation]):
    """`Conversation` for asyncio. `sync` is the conversation itself, with its turns and instructions."""

    say = _awaited(Conversation.say)
    stream = _streamed(Conversation.stream)
    retry = _streamed(Conversation.retry)
    context = _awaited(Conversation.context)
    forget = _awaited(Conversation.forget)
    search = _awaited(Conversation.search)


class AsyncStore(_Closing[Store]):
    """`Store` for asyncio: the same calls, to be awaited; those that return iterators are async iterators. They run in
    one worker thread of the store's own, so that none waits for a model. `sync` is the store itself, with its folders
    and `conversations`. An async context manager.

    store: closed with this.
    """

    add = _awaited(Store.add)
    add_many = _awaited(Store.add_many)
    history = _awaited(Store.history)
    export = _streamed(Store.export)
    users = _streamed(Store.users)
    all_users = _streamed(Store.all_users)
    count = _awaited(Store.count)
    holds = _awaited(Store.holds)
    revision = _awaited(Store.revision)
    arrivals = _awaited(Store.arrivals)
    page = _awaited(Store.page)
    token_count = _awaited(Store.token_count)
    keep_token_count = _awaited(Store.keep_token_count)
    forget = _awaited(Store.forget)
    forget_record = _awaited(Store.forget_record)
    search_remains = _awaited(Store.search_remains)
    encrypt = _awaited(Store.encrypt)
    compact = _awaited(Store.compact)

    def __init__(self, store: Store) -> None:
        if not isinstance(store, Store):
            raise InputError(f"{store!r:.60} is no Store: expected AsyncStore(Store(...))")
        super().__init__(store, _Worker("AsyncStore"))

    async def close(self) -> None:
        """Wait for running calls, and close the store."""
        await super().close()
        self.sync.close()


class AsyncPersonalizer(_Closing[Personalizer]):
    """`Personalizer` for asyncio: the same calls with the same arguments, results and errors, to be awaited; `stream`
    is an async iterator. An async context manager.

    All calls run in one worker thread, in the order in which they were made; between two pieces of a stream, others
    get their turn. A call whose task is cancelled ends at its next pass of the model, or at once if it waits for an
    endpoint, and the thread is free again.

    personalizer: closed with this. store: its store, with a worker thread of its own (None: it has none).
    """

    mark = _awaited(Personalizer.mark)
    compress = _awaited(Personalizer.compress)
    compress_many = _awaited(Personalizer.compress_many)
    ask = _awaited(Personalizer.ask)
    ask_many = _awaited(Personalizer.ask_many)
    stream = _streamed(Personalizer.stream)
    fit_steering = _awaited(Personalizer.fit_steering)
    steered = _awaited(Personalizer.steered)
    history = _awaited(Personalizer.history)
    release = _awaited(Personalizer.release)
    segments = _awaited(Personalizer.segments)
    _open = _awaited(Personalizer.conversation)

    def __init__(self, personalizer: Personalizer) -> None:
        if not isinstance(personalizer, Personalizer):
            raise InputError(f"{personalizer!r:.60} is no Personalizer: expected AsyncPersonalizer(Personalizer(...))")
        super().__init__(personalizer, _Worker("AsyncPersonalizer", personalizer.loaded.base))
        self.store = None if personalizer.store is None else AsyncStore(personalizer.store)

    async def close(self) -> None:
        """Wait for running calls, and close the personalizer."""
        await super().close()
        if self.store is not None:
            await self.store._worker.close()  # whose store it is, closes it
        self.sync.close()

    async def conversation(
        self, user: str = "", name: str = "", **options: Unpack[ConversationOptions]
    ) -> AsyncConversation:
        """Open a conversation, as `Personalizer.conversation`."""
        return AsyncConversation(await self._open(user, name, **options), self._worker)
