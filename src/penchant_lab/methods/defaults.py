"""Which methods each bench measures, and on how many items. Imports nothing heavy: it is part of the commands' help."""

from __future__ import annotations

from penchant_lab.tasks.task import Bench

_MARKED = ("recency", "random", "bm25", "dense", "bm25+dense", "surprisal", "attn-gs", "attention", "fusion")
_ANSWERED = ("none", "full", "gold", *_MARKED, "rewriting")
DEFAULTS: dict[Bench, tuple[str, ...]] = {
    "mark": _MARKED,
    **dict.fromkeys(("compress", "title", "rating", "preference"), _ANSWERED),
    "steer": (
        *("none", "bm25", "fusion", "population", "user-mean", "caa", "fints", "ascent"),
        *("fints@other", "fints@random", "ascent@other", "ascent@random"),
        *("fints+bm25", "fints+fusion", "population+fusion", "ascent+bm25", "ascent+fusion"),
    ),
    "memory": (
        *("none", "full", "gold", "recent-5", "user-only", "bm25-5", "rhea", "penchant"),
        *("penchant-no-instructions", "penchant-no-episodes", "penchant-compress-user"),
    ),
}
"""Default methods of each bench."""

SLOW: dict[str, int | None] = dict.fromkeys(
    ("attn-gs", "sentinel", "rewriting", "llmlingua", "longllmlingua", "snapkv+question", "tova+question"), 40
)
"""Default number of items for methods that read the whole history, or write a profile, for every request."""
