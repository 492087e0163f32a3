"""Steering as methods of the bench: a user's vectors, the population's, another user's, random ones; with notes or not.

Everything that is chosen (layer, strength, weights, the population) is chosen on users of the tuning part.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.evaluation.held_out import WORDS, newest_held_out, without_asked
from penchant.evaluation.items import Item
from penchant.evaluation.methods.method import Method, Notes, Session
from penchant.evaluation.tasks.task import Task
from penchant.history.records import History, Record, Request, Segment
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.steering.bank import Bank
from penchant.steering.bank_file import bank_bytes
from penchant.steering.contrast_file import ContrastFile
from penchant.steering.donors import Donors
from penchant.steering.fitting import fit_setting
from penchant.steering.intervention import Edit, Intervention
from penchant.steering.making import Recipe, make_contrasts
from penchant.steering.methods.registry import VECTOR_METHODS
from penchant.steering.pairs import Pair, is_pair, own_pairs
from penchant.steering.personal import Checked, check_user, read_user, steer_request
from penchant.steering.reading import Sample
from penchant.steering.setting import Setting, read_setting

PAIRS = 16
"""Of a user, evenly spread over the history."""
FIT_USERS = 40
"""Users of the tuning part that settings are chosen on."""
DONOR_WORDS = 40

CONTROLS = ("other", "random")
SYNTAX = "METHOD[@other|@random][+MARKER]"
"""@other: another user's bank. @random: random vectors of the same lengths. +MARKER: with that marker's notes."""


@dataclass(frozen=True)
class Name:
    """A method's name, taken apart."""

    method: str
    control: str = ""
    notes: str = ""


def parse_steered(name: str) -> Name | None:
    """The parts of a name as in `SYNTAX`; None for another method's. "population" is steering without a user."""
    steering, _, notes = name.partition("+")
    method, sign, control = steering.partition("@")
    if method not in (*VECTOR_METHODS, "population") or (sign and control not in CONTROLS):
        return None
    return None if method == "population" and sign else Name(method, control, notes)


@dataclass
class Steering:
    """What all steering methods of a run share: samples, settings and banks, made when they are first needed.

    items: what is asked, by seed. cache: a folder of one's own for contrasts and settings; it holds text of the data.
    """

    loaded: LoadedModel
    task: Task
    data: Path
    items: Mapping[int, Sequence[Item]]
    cache: Path
    say: Callable[[str], None] = lambda text: None
    _settings: dict[str, Setting] = field(default_factory=dict)
    _banks: dict[tuple[str, str, int], tuple[Bank, Checked]] = field(default_factory=dict)

    @cached_property
    def wording(self) -> Callable[[str | None, Request], str]:
        return lambda notes, request: render_chat(self.loaded, answer_messages(notes, request))

    @cached_property
    def asked_as(self) -> str | None:
        """The task's words, which stand before every input."""
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
        chosen = random.Random(0).sample(named, min(FIT_USERS, len(named)))
        return {user: found[user] for user in sorted(chosen)}

    def histories(self, seed: int) -> dict[str, History]:
        """User -> the history that is asked."""
        return {item.user: item.history for item in self.items[seed]}

    def pairs(self, history: History) -> list[Pair]:
        return own_pairs(history, task=self.asked_as, most=PAIRS, spread="even", words=WORDS)

    def samples(self, method: str, history: History, seed: int) -> Sequence[Sample]:
        """What a method reads of a user: pairs, or contrasts with answers that the model wrote with others' items."""
        pairs = self.pairs(history)
        if VECTOR_METHODS[method].reading == "gradient":
            return pairs
        name = hashlib.sha256(history.user.encode()).hexdigest()[:16]
        file = ContrastFile(self.cache / "contrasts" / name, history.user)
        donors = Donors({user: records for user, records in self.tuning.items() if user != history.user})
        recipe = Recipe(seed=seed, item_words=DONOR_WORDS)
        return make_contrasts(self.loaded, pairs, file, self.wording, donors=donors, recipe=recipe).contrasts

    def setting(self, method: str) -> Setting:
        """Chosen on the tuning part, once."""
        if method not in self._settings:
            state = hashlib.sha256(
                repr((self.task.name, sorted((u, [r.id for r in some]) for u, some in self.tuning.items()))).encode()
            )
            path = self.cache / f"setting-{method}-{state.hexdigest()[:12]}.safetensors"
            known = read_setting(path, method, self.loaded.fingerprint)
            if known is None:
                histories = {user: History(records, user) for user, records in self.tuning.items()}
                self.say(f"{method}: choosing layer and strength on {len(histories)} users of the tuning part")
                samples = {user: self.samples(method, history, 0) for user, history in histories.items()}
                known = fit_setting(self.loaded, VECTOR_METHODS[method], samples, self.wording)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(known.to_bytes())
            self._settings[method] = known
        return self._settings[method]

    def bank(self, method: str, history: History, seed: int) -> tuple[Bank | None, Checked]:
        """A user's bank, and whether it helps the user."""
        seed = 0 if VECTOR_METHODS[method].reading == "gradient" else seed
        key = (method, history.user, seed)
        if key not in self._banks:
            samples = self.samples(method, history, seed)
            if not samples:
                return None, Checked("own")
            setting = self.setting(method)
            bank = read_user(self.loaded, setting, history.user, samples, self.wording)
            self._banks[key] = bank, check_user(self.loaded, setting, samples, bank, wording=self.wording)
        return self._banks[key]


def steered_method(name: Name, steering: Steering, notes: Method | None) -> Method:
    """A method of the bench. notes: the method that writes what stands in the prompt; None: nothing does."""
    control = {"other": ", another user's", "random": ", random vectors of the same lengths"}.get(name.control, "")
    about = "the population's vectors alone" if name.method == "population" else VECTOR_METHODS[name.method].about
    full = f"{name.method}{f'@{name.control}' if name.control else ''}{f'+{name.notes}' if name.notes else ''}"

    @contextmanager
    def open_(history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        if notes is None:
            yield _Session(name, steering, history, seed, None)
        else:
            with notes.open(history, segments, seed) as below:
                yield _Session(name, steering, history, seed, below)

    reads_contrasts = name.method != "population" and VECTOR_METHODS[name.method].reading != "gradient"
    seeded = bool(name.control) or reads_contrasts or (notes is not None and notes.seeded)
    return Method(
        full, open_, f"{about}{control}{f'; notes by {name.notes}' if name.notes else ''}", seeded, notes is not None
    )


@dataclass
class _Session:
    name: Name
    steering: Steering
    history: History
    seed: int
    below: Session | None

    def notes(self, item: Item, budget: int) -> Notes:
        began = time.perf_counter()
        written, fallback = self._intervention(item)
        seconds = time.perf_counter() - began
        if self.below is None:
            return Notes(None, seconds=seconds, fallback=fallback, intervention=written)
        notes = self.below.notes(item, budget)
        return replace(notes, seconds=notes.seconds + seconds, fallback=fallback, intervention=written)

    def stored_bytes(self) -> int:
        if self.name.method == "population":
            return 0
        bank = self.steering.bank(self.name.method, self.history, self.seed)[0]
        below = 0 if self.below is None else self.below.stored_bytes()
        return below + (0 if bank is None else bank_bytes(bank)["bfloat16"])

    def _intervention(self, item: Item) -> tuple[Intervention | None, bool]:
        if self.name.method == "population":
            return self.steering.setting("ascent").common(), False
        steering, method = self.steering, self.name.method
        bank, checked = steering.bank(method, self._whose(), self.seed)
        if self.name.control == "other":
            # As if they were the user's own: what is held against is the user, not the check.
            checked = steering.bank(method, self.history, self.seed)[1]
        steered = steer_request(steering.loaded, steering.setting(method), bank, item.request.query, checked=checked)
        written = steered.intervention
        if written is not None and self.name.control == "random":
            written = _random_like(written, f"{self.seed} {item.id}")
        return written, steered.level != "own"

    def _whose(self) -> History:
        if self.name.control != "other":
            return self.history
        histories = self.steering.histories(self.seed)
        others = sorted(user for user in histories if user != self.history.user)
        if not others:
            raise InputError("@other needs a second user: measure more users")
        return histories[random.Random(f"{self.seed} {self.history.user}").choice(others)]


def _random_like(intervention: Intervention, seed: str) -> Intervention:
    """Random directions of the same lengths at the same sites."""
    draw = torch.Generator().manual_seed(int(hashlib.sha256(seed.encode()).hexdigest()[:12], 16))
    edits = {}
    for site, edit in sorted(intervention.edits.items()):
        if edit.add is not None:
            noise = torch.randn(edit.add.shape, generator=draw)
            edits[site] = Edit(noise * (edit.add.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)))
    return Intervention(edits, intervention.scope)
