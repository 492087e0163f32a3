"""Methods by name, and the kit they are made from. Adding one is one line in METHODS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from penchant.compression.extractive import extractive
from penchant.compression.rewriting import rewriting
from penchant.errors import InputError
from penchant.evaluation.methods import references
from penchant.evaluation.methods.marked import SYNTAX, marked, parse_marker
from penchant.evaluation.methods.method import Method
from penchant.evaluation.tasks.task import Bench, Task
from penchant.index.table import Storage
from penchant.lens.calibration import Calibration
from penchant.marking.marks import Marker
from penchant.marking.random import random_marker
from penchant.marking.registry import MARKERS, Toolbox
from penchant.models.loading import LoadedModel

#: One line each, for --help and the report.
ABOUT = {
    "fusion": "Penchant's default marker: attention index, BM25 and MiniLM with fitted weights",
    "attention": "Penchant's attention index alone",
    "attn-gs": "Attn-GS as published: joint pass, last token, heads averaged at a middle layer (arXiv 2602.07778)",
    "bm25": "BM25 with stop words and stems (bm25s)",
    "dense": "cosine of all-MiniLM-L6-v2 embeddings",
    "surprisal": "self-information under the model (Selective Context, arXiv 2310.06201)",
    "recency": "the newest records",
    "random": "random marks",
}


_MARKED = ("recency", "random", "bm25", "dense", "bm25+dense", "surprisal", "attn-gs", "attention", "fusion")
_ANSWERED = ("none", "full", "gold", *_MARKED, "rewriting")
DEFAULTS: dict[Bench, tuple[str, ...]] = {
    "mark": _MARKED,
    **dict.fromkeys(("compress", "title", "rating", "preference"), _ANSWERED),
}
"""Methods of each bench when none are named."""

SLOW: dict[str, int | None] = dict.fromkeys(("attn-gs", "rewriting"), 40)
"""Default number of items for methods that run the whole history, or write a profile, for every request."""


@dataclass(frozen=True)
class Kit:
    """loaded: the one model that every method runs on. max_new_tokens: of an answer. task, data: what is measured; a
    method that has to be fitted finds its tuning part there. peers: where the adapters of peers are."""

    loaded: LoadedModel
    task: Task
    data: Path
    max_new_tokens: int = 0
    calibration: Calibration | None = None
    storage: Storage = "native"
    peers: Path | None = None

    def toolbox(self) -> Toolbox:
        """Its own for every method: nothing that one prepares serves another."""
        return Toolbox(self.loaded, calibration=self.calibration, storage=self.storage)


def _marker(name: str, kit: Kit) -> Method:
    toolbox = kit.toolbox()
    if name == "random":
        make: Callable[[int], Marker] = random_marker
    else:
        marker = parse_marker(name, toolbox)  # now: a missing calibration is found before any long work
        make = lambda seed: marker  # noqa: E731
    about = ABOUT.get(name, f"markers summed with weights, shared with neighbours ({SYNTAX})")
    return marked(name, make, toolbox, extractive(kit.loaded.tokenizer), about, seeded=name == "random")


def _rewriting(kit: Kit) -> Method:
    toolbox = kit.toolbox()
    marker = parse_marker("fusion", toolbox)
    about = "the default marker's marks, rewritten by the same model, extraction where that fails its check"
    return marked("rewriting", lambda seed: marker, toolbox, rewriting(kit.loaded), about)


METHODS: dict[str, Callable[[Kit], Method]] = {
    "none": lambda kit: references.none(),
    "full": lambda kit: references.full(kit.loaded, kit.max_new_tokens),
    "gold": lambda kit: references.gold(kit.loaded),
    **{name: partial(_marker, name) for name in MARKERS},
    "rewriting": _rewriting,
}


def check_names(names: Sequence[str], peers: Path | None) -> None:
    """Raises `InputError` for a name that no method has, before a model or data are read."""
    for name in names:
        if name not in METHODS and not _summed(name):
            raise InputError(f"no method {name!r}: expected some of {', '.join(METHODS)}, or markers as in {SYNTAX}")


def make_method(name: str, kit: Kit) -> Method:
    """The method `name`: one of METHODS, a sum of markers, or a peer whose adapter is there.

    Raises `InputError` for an unknown name, listing them, and `ModelError` for what a method lacks.
    """
    check_names([name], kit.peers)
    return METHODS[name](kit) if name in METHODS else _marker(name, kit)


def _summed(name: str) -> bool:
    """Whether a name is a sum of markers."""
    parts = [part.partition("*")[0] for part in name.partition("~")[0].split("+")]
    return any(sign in name for sign in "+*~") and all(part in MARKERS for part in parts)
