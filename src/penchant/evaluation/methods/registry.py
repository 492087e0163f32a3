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
from penchant.index.table import Storage
from penchant.lens.calibration import Calibration
from penchant.lens.labelled import LabelledHistory
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


@dataclass(frozen=True)
class Kit:
    """loaded: the one model that every method runs on. max_new_tokens: of an answer. tuning: labelled histories that
    choices may be made on (a method that has to be fitted); read only when needed. peers: where their adapters are."""

    loaded: LoadedModel
    max_new_tokens: int = 0
    calibration: Calibration | None = None
    storage: Storage = "native"
    tuning: Callable[[], Sequence[LabelledHistory]] = tuple
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


def make_method(name: str, kit: Kit) -> Method:
    """The method `name`: one of METHODS, a sum of markers, or a peer whose adapter is there.

    Raises `InputError` for an unknown name, listing them, and `ModelError` for what a method lacks.
    """
    if name in METHODS:
        return METHODS[name](kit)
    if any(sign in name for sign in "+*~") and name.partition("~")[0].split("+")[0].split("*")[0] in MARKERS:
        return _marker(name, kit)
    raise InputError(f"no method {name!r}: expected some of {', '.join(METHODS)}, or markers as in {SYNTAX}")
