"""Learned steering as methods of the bench: LoFiT's offsets and Soft Injection's gates, from a user's own answers.

The shared part (LoFiT's heads and offsets) is learned on users of the tuning part; a user's own correction starts from
it and ends when the user's validation answers no longer gain.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from penchant.files import write_bytes
from penchant.history.records import History
from penchant.inference.intervention import Intervention
from penchant.inference.likelihood import Exchange
from penchant.models.tokenization import prompt_ids
from penchant.steering.data.pairs import Pair, first_words, spaced
from penchant.steering.extract.extractor import exchange_of
from penchant.steering.fit.search import SCOPE
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method
from penchant_lab.methods.steered import DONOR_WORDS, Steering
from penchant_lab.methods.writing import Name, Writer, writing_method
from penchant_lab.steering.learning import ASIDE, Head, set_aside
from penchant_lab.steering.lofit import Offsets, choose_heads, learn_offsets
from penchant_lab.steering.soft_injection import embed_user, learn_gates

HEADS = 8
"""Heads that LoFiT edits."""
LAYERS = 0.27, 1.0
"""Where vectors are learned, as shares of the model's depth."""
CHOOSING, COMMON, OWN = 2, 4, 8
"""Most passes: over the population's answers to choose heads, to learn its offsets, and over a user's own."""
OF_EACH = 4
"""Answers of each user of the tuning part to learn from."""
PATIENCE = 2
PROMPTS, SHOTS = 4, 5
"""Prompts that Soft Injection reads a user in, and examples in each."""

ABOUT = {
    "lofit": "LoFiT: offsets at the population's heads, on top of the population's (arXiv 2406.01563)",
    "soft-injection": "Soft Injection: what a user's examples cause at heads, by learned gates (arXiv 2507.20906)",
}


@dataclass(frozen=True)
class Learned:
    """The learned intervention of a user, and its cost. own: whether learning found anything for this user."""

    intervention: Intervention | None
    bytes: int
    own: bool


@dataclass
class Learning:
    """The state shared by the learned methods of a run: the population's offsets, and learned users."""

    steering: Steering
    _users: dict[tuple[str, str, int], Learned] = field(default_factory=dict)

    @cached_property
    def common(self) -> Offsets:
        """LoFiT's heads, and the population's offsets there: learned on the tuning part, once, and kept in a file."""
        steering, loaded = self.steering, self.steering.loaded
        path = steering.cache / f"lofit-{steering.state()}-{loaded.fingerprint[:12]}.safetensors"
        known = _read(path, loaded.fingerprint)
        if known is None:
            told = {user: _some(steering.pairs(History(records, user))) for user, records in steering.tuning.items()}
            steering.say(f"lofit: learning heads and offsets on {len(told)} users of the tuning part")
            learned, aside = set_aside(list(told.values()))  # whole users
            mine, theirs = (self._exchanges([pair for some in part for pair in some]) for part in (learned, aside))
            count = min(HEADS, len(self._layers) * loaded.num_heads)
            heads = choose_heads(loaded, mine, count, layers=self._layers, scope=SCOPE, passes=CHOOSING)
            known = learn_offsets(loaded, mine, heads, held_out=theirs, scope=SCOPE, passes=COMMON, patience=PATIENCE)
            _write(path, known, loaded.fingerprint)
        return known

    def learned(self, method: str, history: History, seed: int) -> Learned:
        """Return a learned user, by a method. With fewer than two answers, nothing is learned, and the population's
        vectors are used.
        """
        key = (method, history.user, seed if self.steering.task.seeded else 0)
        if key not in self._users:
            pairs = self.steering.pairs(history)
            self._users[key] = (self._offsets if method == "lofit" else self._injection)(pairs)
        return self._users[key]

    def _offsets(self, pairs: Sequence[Pair]) -> Learned:
        loaded, common = self.steering.loaded, self.common
        if len(pairs) < 2:
            return Learned(common.intervention(loaded), 0, own=False)
        learned, aside = map(self._exchanges, set_aside(pairs))
        made = learn_offsets(
            loaded, learned, common.heads, held_out=aside, start=common, scope=SCOPE, passes=OWN, patience=PATIENCE
        )
        own = made.run is not None and made.run.kept > 0
        return Learned(made.intervention(loaded), made.bytes, own)

    def _injection(self, pairs: Sequence[Pair]) -> Learned:
        loaded = self.steering.loaded
        if len(pairs) < 2:
            return Learned(None, 0, own=False)
        learned, aside = set_aside(pairs)
        embedding = embed_user(loaded, self._shown(learned), layers=self._layers)
        made = learn_gates(
            loaded,
            self._exchanges(learned),
            embedding,
            held_out=self._exchanges(aside),
            scope=SCOPE,
            passes=OWN,
            patience=PATIENCE,
            lr=5e-2,
        )
        written = made.intervention(loaded)
        return Learned(written if written.edits else None, made.bytes, bool(written.edits))

    def _shown(self, pairs: Sequence[Pair]) -> list[list[int]]:
        """Prompts that ask one of the user's inputs, with examples of the others as notes."""
        draw, prompts = random.Random(0), []
        for asked in draw.sample(pairs, min(PROMPTS, len(pairs))):
            others = [pair for pair in pairs if pair is not asked]
            shots = draw.sample(others, min(SHOTS, len(others)))
            notes = "\n\n".join(
                f"{first_words(pair.request.query, DONOR_WORDS)}\n{first_words(pair.answer, DONOR_WORDS)}"
                for pair in shots
            )
            prompts.append(prompt_ids(self.steering.loaded, self.steering.template(notes or None, asked.request)))
        return prompts

    def _exchanges(self, pairs: Sequence[Pair]) -> list[Exchange]:
        return [exchange_of(self.steering.loaded, pair, self.steering.template) for pair in pairs]

    @property
    def _layers(self) -> range:
        first, last = (round(share * (self.steering.loaded.num_layers - 1)) for share in LAYERS)
        return range(first, last + 1)


def learned_method(name: Name, learning: Learning, notes: Method | None) -> Method:
    """Learned steering. notes: see `writing_method`."""

    def writer(history: History, seed: int) -> Writer:
        return _Writer(name, learning, history, seed)

    return writing_method(name, ABOUT[name.method], learning.steering.loaded.model, writer, notes, seeded=False)


@dataclass
class _Writer:
    name: Name
    learning: Learning
    history: History
    seed: int

    def prepare(self) -> None:
        if self.name.method == "lofit":
            _ = self.learning.common

    def write(self, item: Item) -> tuple[Intervention | None, bool]:
        history = self.history
        if self.name.control == "other":
            history = self.learning.steering.another(history.user, self.seed)
        learned = self.learning.learned(self.name.method, history, self.seed)
        return learned.intervention, not learned.own

    def stored_bytes(self) -> int:
        return self.learning.learned(self.name.method, self.history, self.seed).bytes


def _some(pairs: Sequence[Pair]) -> list[Pair]:
    return [pairs[position] for position in spaced(len(pairs), min(OF_EACH, len(pairs)))]


def _recipe(model: str) -> dict[str, str]:
    parts = (HEADS, LAYERS, CHOOSING, COMMON, OF_EACH, ASIDE, PATIENCE)
    return {"model": model, "recipe": json.dumps(parts), "scope": SCOPE}


def _write(path: Path, offsets: Offsets, model: str) -> None:
    about = _recipe(model) | {"heads": json.dumps(offsets.heads)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save({"vectors": offsets.vectors.contiguous()}, about))


def _read(path: Path, model: str) -> Offsets | None:
    """Read stored offsets; None if there are none, or they were learned differently."""
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        about = dict(file.metadata() or {})
        vectors = file.get_tensor("vectors")
    if {name: about.get(name) for name in _recipe(model)} != _recipe(model):
        return None
    return Offsets(tuple(Head(*head) for head in json.loads(about["heads"])), vectors, SCOPE)
