"""Steering as methods of the bench: a user's vectors, the population's, another user's, random ones; with notes or not.

All choices (layer, strength, weights, the population) are made on users of the tuning part.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.inference.intervention import Edit, Intervention
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.steering.apply.context import FittedSteering, ValidationResult, steer_request
from penchant.steering.config import SteeringConfig, read_config
from penchant.steering.data.contrast import Sample
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.data.contrast_generation import Recipe, generate_contrasts
from penchant.steering.data.pairs import Donors, Pair, is_pair, own_pairs
from penchant.steering.extract.extractor import extract_bank
from penchant.steering.fit.cross_validation import validate_user
from penchant.steering.fit.search import fit_config
from penchant.steering.methods.registry import VECTOR_METHODS
from penchant.steering.storage.bank import Bank
from penchant.steering.storage.bank_file import bank_bytes
from penchant_lab.bench.items import Item
from penchant_lab.measures.held_out import distinct, newest_held_out, without_asked
from penchant_lab.methods.method import Method
from penchant_lab.methods.writing import Name, Writer, writing_method
from penchant_lab.tasks.task import Task

PAIRS, CONTRASTS = 32, 16
"""A user's newest pairs that are read; and of these the newest that get a rejected answer, which has to be written."""
PAIR_WORDS = 100
"""Most words of a pair's input: a gradient on the first hundred of an abstract costs half."""
FIT_USERS = 24
"""Users of the tuning part on which configurations are chosen."""
DONOR_WORDS = 40


@dataclass
class Steering:
    """The state shared by all steering methods of a run: samples, configurations and banks, made on first use.

    items: by seed. cache: a private folder for contrasts and configurations; it contains text of the data.
    """

    loaded: LoadedModel
    task: Task
    data: Path
    items: Mapping[int, Sequence[Item]]
    cache: Path
    say: Callable[[str], None] = lambda text: None
    _settings: dict[str, SteeringConfig] = field(default_factory=dict)
    _banks: dict[tuple[str, str, int], tuple[Bank, ValidationResult]] = field(default_factory=dict)

    @cached_property
    def template(self) -> Callable[[str | None, Request], str]:
        return lambda notes, request: render_chat(self.loaded, answer_messages(notes, request))

    @cached_property
    def asked_as(self) -> str | None:
        """The task's wording, which precedes every input."""
        return next(item.request.task for some in self.items.values() for item in some)

    @cached_property
    def tuning(self) -> dict[str, list[Record]]:
        """Records of users of the tuning part, without anything that is asked."""
        asked = [item for some in self.items.values() for item in some]
        users = {item.user for item in asked}
        found: dict[str, list[Record]] = {}
        for item in newest_held_out(self.task.items(self.data, "tune"), 0):
            if item.user not in found and item.user not in users:
                found[item.user] = [one for one in without_asked(item.history, asked) if is_pair(one)]
        named = sorted(user for user, records in found.items() if len(records) >= 4)
        if not named:
            raise InputError("no user of the tuning part is left to fit steering on: measure on --part test")
        chosen = random.Random(0).sample(named, min(FIT_USERS, len(named)))
        return {user: distinct(found[user]) for user in sorted(chosen)}

    def histories(self, seed: int) -> dict[str, History]:
        """User -> the history that is asked."""
        return {item.user: item.history for item in self.items[seed]}

    def state(self, method: str = "") -> str:
        """What is fitted, and on what, as 12 hex digits: in the names of files that keep it."""
        users = [(user, [one.id + one.content_hash() for one in some]) for user, some in sorted(self.tuning.items())]
        what = (self.task.name, users, VECTOR_METHODS.get(method), PAIRS, CONTRASTS, PAIR_WORDS)
        return hashlib.sha256(repr(what).encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def another(self, user: str, seed: int) -> History:
        """Return another user's history that contains nothing this user is asked. Raises `InputError` if there
        is none.
        """
        histories = self.histories(seed)
        asked = [item for item in self.items[seed] if item.user == user]
        others = sorted(other for other in histories if other != user)
        draw = random.Random(f"{seed} {user}")
        while others:
            chosen = draw.choice(others)
            if len(without_asked(histories[chosen], asked)) == len(histories[chosen]):
                return histories[chosen]
            others.remove(chosen)
        raise InputError("@other needs a second user, whose history holds nothing that is asked: measure more users")

    def pairs(self, history: History) -> list[Pair]:
        """The newest; [] for a history without any."""
        if not any(map(is_pair, history)):
            return []
        return own_pairs(history, task=self.asked_as, most=PAIRS, words=PAIR_WORDS)

    def samples(self, method: str, history: History, seed: int) -> Sequence[Sample]:
        """What a method reads of a user: pairs, or contrasts with answers that the model wrote with others' items."""
        pairs = self.pairs(history)
        if VECTOR_METHODS[method].reading == "gradient" or not pairs:
            return pairs
        # Of another task, or another seed of a task that draws its texts, a user of the same name is another one.
        whose = f"{history.user} {seed}" if self.task.seeded else history.user
        name = hashlib.sha256(whose.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        file = ContrastFile(self.cache / "contrasts" / self.task.name / name, history.user)
        donors = Donors({user: records for user, records in self.tuning.items() if user != history.user})
        recipe = Recipe(seed=seed, item_words=DONOR_WORDS)
        newest = pairs[-CONTRASTS:]
        return generate_contrasts(self.loaded, newest, file, self.template, donors=donors, recipe=recipe).contrasts

    @cached_property
    def contexts(self) -> dict[str, Sequence[Sample]]:
        """Samples of the tuning users: other users' items in prompts that are read with and without them."""
        return {user: self.pairs(History(records, user)) for user, records in self.tuning.items()}

    def config(self, method: str) -> SteeringConfig:
        """Chosen on the tuning part, once."""
        if method not in self._settings:
            path = self.cache / f"setting-{method}-{self.state(method)}.safetensors"
            known = read_config(path, method, self.loaded.fingerprint)
            if known is None:
                histories = {user: History(records, user) for user, records in self.tuning.items()}
                self.say(f"{method}: choosing layer and strength on {len(histories)} users of the tuning part")
                samples = {user: self.samples(method, history, 0) for user, history in histories.items()}
                known = fit_config(self.loaded, VECTOR_METHODS[method], samples, self.template)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(known.to_bytes())
            self._settings[method] = known
        return self._settings[method]

    def bank(self, method: str, history: History, seed: int) -> tuple[Bank | None, ValidationResult]:
        """A user's bank, and whether it helps the user."""
        drawn = self.task.seeded or VECTOR_METHODS[method].reading != "gradient"
        key = (method, history.user, seed if drawn else 0)
        if key not in self._banks:
            samples = self.samples(method, history, seed)
            if not samples:
                return None, ValidationResult("own")
            config = self.config(method)
            everyone = self.contexts if config.reading == "prompt_last" else None
            bank = extract_bank(self.loaded, config, history.user, samples, self.template, everyone=everyone)
            self._banks[key] = bank, validate_user(self.loaded, config, samples, bank, template=self.template)
        return self._banks[key]


def steered_method(name: Name, steering: Steering, notes: Method | None) -> Method:
    """Steering by vectors. notes: see `writing_method`."""
    if name.method == "population":
        about, seeded = "the population's vectors alone", False
    else:
        method = VECTOR_METHODS[name.method]
        about, seeded = method.about, method.reading != "gradient"
    about += ", random vectors of the same lengths" if name.control == "random" else ""
    model = steering.loaded.model

    def writer(history: History, seed: int) -> Writer:
        return _Vectors(name, steering, history, seed)

    return writing_method(name, about, model, writer, notes, seeded=seeded)


@dataclass
class _Vectors:
    name: Name
    steering: Steering
    history: History
    seed: int

    def prepare(self) -> None:
        self._setting()

    def write(self, item: Item) -> tuple[Intervention | None, bool]:
        config, steering, method = self._setting(), self.steering, self.name.method
        if method == "population":
            return config.common(), False
        bank, checked = steering.bank(method, self.history, self.seed)
        if self.name.control == "other":
            # Treated as the user's own: the control replaces the user, not the validation.
            bank = steering.bank(method, steering.another(self.history.user, self.seed), self.seed)[0]
        steered = steer_request(steering.loaded, FittedSteering(config, bank, checked), item.request.query)
        written = steered.intervention
        if written is not None and self.name.control == "random":
            written = _random_like(written, f"{self.seed} {item.id}")
        return written, steered.level != "own"

    def stored_bytes(self) -> int:
        if self.name.method == "population":
            return 0
        bank = self.steering.bank(self.name.method, self.history, self.seed)[0]
        return 0 if bank is None else bank_bytes(bank)

    def _setting(self) -> SteeringConfig:
        return self.steering.config("ascent" if self.name.method == "population" else self.name.method)


def _random_like(intervention: Intervention, seed: str) -> Intervention:
    """Random directions of the same lengths at the same sites."""
    draw = torch.Generator().manual_seed(int(hashlib.sha256(seed.encode()).hexdigest()[:12], 16))
    edits = {}
    for site, edit in sorted(intervention.edits.items()):
        if edit.add is not None:
            noise = torch.randn(edit.add.shape, generator=draw)
            edits[site] = Edit(noise * (edit.add.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)))
    return Intervention(edits, intervention.scope)
