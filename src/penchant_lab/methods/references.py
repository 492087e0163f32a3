"""The references of all methods: no history, the whole history, and the records that contain the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from penchant.compression.budget import count_each, count_tokens
from penchant.compression.layout import lay_out
from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.history.records import History, Segment
from penchant.history.segmentation import segment
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import text_ids
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes, Session

#: Room beside the history is rounded up to a multiple, so that all requests see the same cut and share its reading.
ROUNDED = 256


def none() -> Method:
    """The request alone."""

    class _Nothing:
        def notes(self, item: Item, budget: int) -> Notes:
            return Notes(None)

        def stored_bytes(self) -> int:
            return 0

    return _method("none", lambda history: _Nothing(), "the request alone, without any history")


def gold(loaded: LoadedModel) -> Method:
    """The records that contain the answer, as the data set labels them. Raises `InputError` for an item without
    labels.
    """

    class _Gold:
        def __init__(self, history: History) -> None:
            self.history, self.segments = history, segment(history, "record")

        def notes(self, item: Item, budget: int) -> Notes:
            evidence = set(item.evidence)
            pieces = tuple(piece for piece in self.segments if piece.record_id in evidence)
            if not pieces:
                raise InputError("no labelled evidence: the method gold needs items that name their evidence")
            text = lay_out(self.history, pieces)
            return Notes(text, count_tokens(loaded.tokenizer, text), pieces)

        def stored_bytes(self) -> int:
            return 0

    return _method("gold", _Gold, "the labelled evidence, whole records: the result of perfect marking")


def full(loaded: LoadedModel, max_new_tokens: int) -> Method:
    """The whole history, or the newest records that fit the window together with the request and its answer."""

    class _Full:
        def __init__(self, history: History) -> None:
            self.history, self.segments = history, segment(history, "record")
            self.costs = count_each(loaded.tokenizer, [piece.text for piece in self.segments])
            self.cuts: dict[int, tuple[str, int, int]] = {}

        def notes(self, item: Item, budget: int) -> Notes:
            began = time.perf_counter()
            prompt = render_chat(loaded, answer_messages("x", item.request))
            answers = [len(text_ids(loaded, text)) for text in (item.answer, *item.choices)]
            beside = 2 + count_tokens(loaded.tokenizer, prompt) + max(max_new_tokens, 2 + max(answers))
            text, tokens, first = self._cut(-(-beside // ROUNDED) * ROUNDED)
            kept = float(self.costs[first:].sum() / max(1, self.costs.sum()))
            return Notes(text, tokens, self.segments[first:], seconds=time.perf_counter() - began, kept=kept)

        def _cut(self, beside: int) -> tuple[str, int, int]:
            """Text, its tokens and the first record that fits beside so many other tokens."""
            if beside not in self.cuts:
                room, low, high = loaded.window - beside, 0, len(self.history)
                while low < high:
                    middle = (low + high) // 2
                    # Records alone are an estimate from below: only what may fit is laid out and counted.
                    fits = self.costs[middle:].sum() <= room and self._size(middle) <= room
                    low, high = (low, middle) if fits else (middle + 1, high)
                text = lay_out(self.history, self.segments[low:])
                self.cuts[beside] = text, count_tokens(loaded.tokenizer, text), low
            return self.cuts[beside]

        def _size(self, first: int) -> int:
            return count_tokens(loaded.tokenizer, lay_out(self.history, self.segments[first:]))

        def stored_bytes(self) -> int:
            return 0

    return _method("full", _Full, "the whole history in the prompt, or its newest records that fit the window")


def _method(name: str, session: Callable[[History], Session], about: str) -> Method:
    @contextmanager
    def opened(history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        yield session(history)

    return Method(name, opened, about, budgeted=False)
