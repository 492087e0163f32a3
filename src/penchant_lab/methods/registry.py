"""Methods by name, and the context they are made from. Adding one is one line in METHODS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from penchant.compression.extractive import extractive
from penchant.compression.rewriting import rewriting
from penchant.errors import InputError
from penchant.folders import cache_folder
from penchant.index.table import Storage
from penchant.lens.calibration import Calibration
from penchant.lens.labelled import LabelledHistory
from penchant.lens.synthetic import needle_histories
from penchant.marking.marks import Marker
from penchant.marking.random import random_marker
from penchant.marking.registry import MARKERS
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel
from penchant.steering.methods.registry import VECTOR_METHODS
from penchant_lab.bench.items import Item
from penchant_lab.markers.sentinel import fitted_probe, sentinel
from penchant_lab.methods import references
from penchant_lab.methods.facts import mem0
from penchant_lab.methods.learned import Learning, learned_method
from penchant_lab.methods.marked import SYNTAX, marked, parse_marker
from penchant_lab.methods.method import Method
from penchant_lab.methods.peer import Peers, check_peers, peer_names
from penchant_lab.methods.remembered import FoundInstructions, check_memory_names, remembered_method
from penchant_lab.methods.steered import Steering, steered_method
from penchant_lab.methods.writing import LEARNED, parse_steered
from penchant_lab.tasks.task import Task

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


PROBE_QUESTIONS = 40
"""Of each history that Sentinel's probe is fitted on."""
FEWEST_QUESTIONS = 3
"""Histories with fewer are not used for fitting: reading them costs the same."""
PASS = 2048
"""Tokens of a joint pass of Sentinel: cheaper than the window's, and what its penalty was chosen with."""
PLANTED = 4, 240
"""Synthetic histories and records for tasks without labelled evidence, as in `penchant heads discover`."""


@dataclass(frozen=True)
class BenchContext:
    """loaded: the one model that every method runs on. max_new_tokens: of an answer. task, data: what is measured; a
    method that has to be fitted finds its tuning part there. peers: where the adapters of peers are. items: what is
    asked, by seed; say: told what takes long (methods that steer)."""

    loaded: LoadedModel
    task: Task
    data: Path
    max_new_tokens: int = 0
    calibration: Calibration | None = None
    storage: Storage = "native"
    peers: Path | None = None
    items: Mapping[int, Sequence[Item]] = field(default_factory=dict)
    say: Callable[[str], None] = lambda text: None

    @cached_property
    def steering(self) -> Steering:
        """The state shared by all steering methods."""
        cache = cache_folder() / "bench"
        return Steering(self.loaded, self.task, self.data, self.items, cache, self.say)

    @cached_property
    def learning(self) -> Learning:
        """The state shared by all learned steering methods."""
        return Learning(self.steering)

    @cached_property
    def found_instructions(self) -> FoundInstructions:
        """The instructions found in the conversations, shared by all methods."""
        return FoundInstructions(self.resources())

    @cached_property
    def others(self) -> Peers:
        """The peers' methods; each peer has one worker for all of them."""
        return Peers(self.loaded, self.max_new_tokens, self.peers)

    def tuning(self) -> list[LabelledHistory]:
        """Histories with labelled evidence to fit a method on: those of the task's tuning part, else synthetic ones."""
        try:
            labelled = self.task.labelled(self.data, "tune")
        except InputError:  # no evidence in this data set
            labelled = []
        labelled = [one for one in labelled if len(one.questions) >= FEWEST_QUESTIONS]
        return labelled or needle_histories(*PLANTED)

    def resources(self) -> Resources:
        """Return new resources for each method, so that no method profits from the work of another."""
        return Resources(self.loaded, calibration=self.calibration, storage=self.storage)


def _marker(name: str, context: BenchContext) -> Method:
    resources = context.resources()
    if name == "random":
        make: Callable[[int], Marker] = random_marker
    else:
        make = _always(parse_marker(name, resources))  # now: a missing calibration is found before any long work
    about = ABOUT.get(name, f"markers summed with weights, shared with neighbours ({SYNTAX})")
    return marked(name, make, resources, extractive(context.loaded.tokenizer), about, seeded=name == "random")


def _always(marker: Marker) -> Callable[[int], Marker]:
    """The same marker for every seed."""
    return lambda seed: marker


def _rewriting(context: BenchContext) -> Method:
    resources = context.resources()
    marker = _always(parse_marker("fusion", resources))
    about = "the default marker's marks, rewritten by the same model, extraction where that fails its check"
    return marked("rewriting", marker, resources, rewriting(context.loaded), about)


def _sentinel(context: BenchContext) -> Method:
    resources = context.resources()
    probe = fitted_probe(resources.lens, context.tuning(), limit=PROBE_QUESTIONS, block=PASS)
    about = "Sentinel-style: every head's last row of a joint pass, logistic regression (arXiv 2505.23277)"
    return marked(
        "sentinel", _always(sentinel(resources.lens, probe)), resources, extractive(context.loaded.tokenizer), about
    )


METHODS: dict[str, Callable[[BenchContext], Method]] = {
    "none": lambda context: references.none(),
    "full": lambda context: references.full(context.loaded, context.max_new_tokens),
    "gold": lambda context: references.gold(context.loaded),
    **{name: partial(_marker, name) for name in MARKERS},
    "rewriting": _rewriting,
    "sentinel": _sentinel,
    "mem0": lambda context: mem0(context.loaded),
}
"""In addition there are sums of markers, and the methods of the peers in penchant_lab/peers."""


def check_names(names: Sequence[str], peers: Path | None, dialogues: bool = False) -> None:
    """Check names before a model or data are read. dialogues: conversations are measured. Raises `InputError` for an
    unknown method, and `ModelError` for a peer without an environment.
    """
    if dialogues:
        check_memory_names(names)
        return
    others = peer_names(peers)
    for name in names:
        if name not in METHODS and name not in others and not _summed(name) and not _steers(name):
            known = ", ".join([*METHODS, *VECTOR_METHODS, "population", *LEARNED, *others])
            hint = "" if others else "; for peers, name the folder of their adapters with --peers"
            raise InputError(f"no method {name!r}: expected some of {known}, or markers as in {SYNTAX}{hint}")
    check_peers(names, peers)


def make_method(name: str, context: BenchContext) -> Method:
    """Make the method `name`: one of METHODS, a sum of markers, or a peer's.

    Raises as `check_names`, and `ModelError` if a method lacks something it needs.
    """
    check_names([name], context.peers, context.task.dialogues)
    if context.task.dialogues:
        return remembered_method(name, context.resources(), context.found_instructions)
    if name in METHODS:
        return METHODS[name](context)
    if parts := parse_steered(name):
        notes = make_method(parts.notes, context) if parts.notes else None
        if parts.method in LEARNED:
            return learned_method(parts, context.learning, notes)
        return steered_method(parts, context.steering, notes)
    return _marker(name, context) if _summed(name) else context.others.methods[name]


def _steers(name: str) -> bool:
    parts = parse_steered(name)
    return parts is not None and (not parts.notes or parts.notes in METHODS or _summed(parts.notes))


def _summed(name: str) -> bool:
    """Whether a name is a sum of markers."""
    parts = [part.partition("*")[0] for part in name.partition("~")[0].split("+")]
    return any(sign in name for sign in "+*~") and all(part in MARKERS for part in parts)
