"""Methods that combine a marker and a compressor: marks for each request, a profile within the budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from penchant.compression.profile import Compressor
from penchant.errors import InputError
from penchant.history.records import History, Segment
from penchant.marking.dated import dated, last_time
from penchant.marking.fusion import fusion
from penchant.marking.marks import Marker, Marks
from penchant.marking.registry import MARKERS, make_marker
from penchant.marking.resources import Resources
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes, Session
from penchant_lab.speed.measure import counting

#: float32 [384] a segment, which the dense marker holds for as long as it lives.
EMBEDDING_BYTES = 384 * 4
SYNTAX = "A*w+B*w~previous/following"
DATES = "@dates"


@dataclass
class _Session:
    """The marks of the last request are cached for other budgets, which report the same cost."""

    marker: Marker
    compress: Compressor
    history: History
    segments: Sequence[Segment]
    stored: Callable[[History, Sequence[Segment]], int]
    model: nn.Module
    _last: tuple[str, Marks, float] | None = None

    def notes(self, item: Item, budget: int) -> Notes:
        if self._last is None or self._last[0] != item.id:
            began = time.perf_counter()
            marks = self.marker(self.history, item.request, self.segments)
            self._last = item.id, marks, time.perf_counter() - began
        _, marks, seconds = self._last
        began = time.perf_counter()
        with counting(self.model) as fed:
            profile = self.compress(self.history, item.request, marks, budget)
        return Notes(
            profile.text,
            profile.tokens,
            profile.segments,
            marks.scores,
            marks.tokens_fed + fed.tokens,
            seconds + time.perf_counter() - began,
            fallback=profile.fallback,
        )

    def stored_bytes(self) -> int:
        return self.stored(self.history, self.segments)


def marked(
    name: str,
    make: Callable[[int], Marker],
    resources: Resources,
    compress: Compressor,
    about: str,
    *,
    seeded: bool = False,
) -> Method:
    """Make a method from a compressor and the marker that `make` returns for a seed.

    The marker lives as long as the method, so that its weights are read once; the attention index of a history is
    dropped when the history is done.
    """
    made: dict[int, Marker] = {}
    embeds = "dense" in name or "fusion" in name or name == "rewriting"

    def stored(history: History, segments: Sequence[Segment]) -> int:
        index = resources.indexes.open(history)[0].nbytes if _opened(resources) else 0
        return index + (EMBEDDING_BYTES * len(segments) if embeds else 0)

    @contextmanager
    def opened(history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        if seed not in made:
            made[seed] = make(seed)
        try:
            yield _Session(made[seed], compress, history, segments, stored, resources.loaded.model)
        finally:
            if history.user:
                resources.close(history.user)

    return Method(name, opened, about, seeded=seeded)


def _opened(resources: Resources) -> bool:
    return "indexes" in vars(resources) and resources.indexes.nbytes > 0


def parse_marker(spec: str, resources: Resources) -> Marker:
    """A marker by its name in the registry, or several as one: "bm25*0.45+dense*0.77~0.34/0.14" is the sum of their
    standardised scores with these weights (1), of which each segment gets the shares of its neighbours (0). With
    "@dates" behind it, dates in the request move the scores, as in the product; it is asked when its history ends.

    Raises `InputError` for another wording or an unknown name.
    """
    if spec.endswith(DATES):
        return dated(parse_marker(spec.removesuffix(DATES), resources), clock=last_time)
    if spec in MARKERS:
        return make_marker(spec, resources)
    names, _, shares = spec.partition("~")
    previous, _, following = shares.partition("/")
    try:
        smoothing = float(previous or 0.0), float(following or previous or 0.0)
        weighed = [(name, float(weight or 1.0)) for name, _, weight in (one.partition("*") for one in names.split("+"))]
    except ValueError:
        raise InputError(
            f"marker {spec!r}: expected numbers as in {SYNTAX}, for example bm25*0.5+dense~0.2/0.1"
        ) from None
    parts = [(make_marker(name, resources), weight) for name, weight in weighed]
    return fusion(parts, previous=smoothing[0], following=smoothing[1], name=spec)
