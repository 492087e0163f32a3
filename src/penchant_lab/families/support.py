"""What works with each family, tried on its tiny random model: the table in the documentation.

Nothing is looked up: marks are made, answers are compared with those of passes without a cache, vectors are written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from penchant.errors import ModelError
from penchant.history.records import History, Record
from penchant.history.segmentation import segment
from penchant.index.attention import AttentionIndex
from penchant.index.encode import Encoder
from penchant.inference.batching import pad_left
from penchant.inference.cached_rows import CachedRows
from penchant.inference.forward import logits
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.recurrence import Recurrence, recurrence
from penchant.inference.runtime import steered
from penchant.inference.sites import Kind, Site, has_site, site_width
from penchant.lens.calibration import Calibration
from penchant.lens.lens import Lens
from penchant.models.loading import LoadedModel
from penchant_lab.families.configs import FAMILIES
from penchant_lab.families.tiny import tiny

PROMPT = tuple(range(30, 47))
STEPS = 4
_HISTORY = History([Record("I am allergic to peanuts."), Record("The meeting is on Tuesday."), Record("A film.")])


@dataclass(frozen=True)
class Support:
    """marks: the layers that the attention index can be made of; none: why. reads: how a text may be split into passes.
    steers: the layers of each kind of site that can be written to.
    """

    layers: int
    marks: tuple[int, ...]
    reason: str
    reads: Recurrence | None
    steers: dict[Kind, tuple[int, ...]]


@torch.no_grad()
def support(name: str) -> Support:
    """Try one family. Raises `RuntimeError` for a wrong result: refusing is fine, computing something else isn't."""
    loaded = tiny(name)
    check_answer(loaded)
    marks, reason = _marked(loaded)
    kinds: dict[Kind, tuple[int, ...]] = {}
    for kind in get_args(Kind):
        able = tuple(layer for layer in range(loaded.num_layers) if has_site(loaded.model, Site(layer, kind)))
        kinds[kind] = able if able and _writes(loaded, Site(able[-1], kind)) else ()
    return Support(loaded.num_layers, marks, reason, recurrence(loaded), kinds)


def check_answer(loaded: LoadedModel) -> None:
    """Raise `RuntimeError` unless cached decoding gives the logits of passes over the whole text."""
    rows = CachedRows.empty(loaded, 1, rewind=False)
    found, ids = rows.prefill(pad_left([PROMPT])), list(PROMPT)
    for _ in range(STEPS):
        wanted = logits(loaded, torch.tensor([ids]), last=1)[:, -1]
        if not torch.allclose(found, wanted, atol=5e-3 * float(wanted.abs().max())):
            raise RuntimeError(f"{loaded.name}: cached logits are off by {float((found - wanted).abs().max()):.2g}")
        ids.append(int(wanted.argmax()))
        found = rows.feed([ids[-1]])


def _marked(loaded: LoadedModel) -> tuple[tuple[int, ...], str]:
    try:
        lens = Lens(loaded)
    except ModelError as error:
        return (), str(error)
    heads = tuple((layer, head) for layer in lens.layers for head in range(loaded.num_heads))
    calibration = Calibration(loaded.name, loaded.fingerprint, heads, (1.0,) * len(heads), neutral=("What?",))
    scores, _ = AttentionIndex(Encoder(lens, calibration)).score(_HISTORY, segment(_HISTORY), "What am I allergic to?")
    if not np.isfinite(scores).all() or len(set(scores.tolist())) < len(_HISTORY):
        raise RuntimeError(f"{loaded.name}: scores {scores.tolist()}")
    return tuple(sorted(lens.layers)), ""


def _writes(loaded: LoadedModel, site: Site) -> bool:
    """Whether a vector at the site changes the prediction, and a vector of zeros nothing at all."""
    ids = torch.tensor([PROMPT])
    width = site_width(loaded.model, site.kind, site.layer)
    changed = []
    for length in (0.0, 1.0):
        vector = torch.full((1, width), length) * torch.linspace(-1, 1, width)
        with steered(loaded.model, Intervention({site: Edit(vector)}, "all"), [len(PROMPT)]):
            try:
                changed.append(logits(loaded, ids, last=1))
            except ModelError:
                return False
    plain = logits(loaded, ids, last=1)
    if not torch.equal(changed[0], plain):
        raise RuntimeError(f"{loaded.name}: zeros at {site} change the prediction")
    return not torch.equal(changed[1], plain)


def families_table() -> str:
    """The table: a row for each family."""
    rows = ["| models | type | marks by attention | answers | steers |", "| --- | --- | --- | --- | --- |"]
    with _quiet():
        for name, family in FAMILIES.items():
            one = support(name)
            cells = (family.examples, f"`{name}`", _marks(one), _reads(one.reads), _steers(one))
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _marks(one: Support) -> str:
    if not one.marks:
        return "no"
    return "yes" if len(one.marks) == one.layers else "yes, at the layers that attend"


def _reads(able: Recurrence | None) -> str:
    if able is None:
        return "yes"
    notes = []
    if not able.cache or not (able.step or able.chunk) or not able.step:
        notes.append("reads the whole text for each token")
    elif not able.chunk:
        notes.append("prompt in one piece")
    if not able.padding:
        notes.append("one prompt at a time")
    return "yes; " + ", ".join(notes) if notes else "yes"


def _steers(one: Support) -> str:
    full = [kind for kind, layers in one.steers.items() if len(layers) == one.layers]
    some = [kind for kind, layers in one.steers.items() if 0 < len(layers) < one.layers]
    parts = [", ".join(full)] if full else []
    if some:
        parts.append(f"{', '.join(some)} where there is one")
    return "; ".join(parts) or "no"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' hints about faster kernels and unusual configurations."""
    log = logging.getLogger("transformers")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
