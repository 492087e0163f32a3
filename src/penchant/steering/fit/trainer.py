"""Fitting a user's steering and keeping it: samples, the setting, the bank, and whether it helps.

A second time only what is new is read. Each row is read by itself, so what is left after an erasure is to the bit what
would be there without what was erased.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import torch

from penchant.errors import InputError, StoreError
from penchant.history.records import History
from penchant.models.loading import LoadedModel
from penchant.steering.apply.similarity import Similarity
from penchant.steering.config import Setting, save_setting
from penchant.steering.data.contrast import Contrast
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.data.contrast_generation import Recipe, make_contrasts
from penchant.steering.data.donors import Donors, donors_from
from penchant.steering.data.pairs import Spread, is_pair, own_pairs
from penchant.steering.extract.extractor import Sample, Wording, exchange_of, row_of
from penchant.steering.fit.cross_validation import Progress
from penchant.steering.fit.report import Report
from penchant.steering.fit.search import fit_setting
from penchant.steering.fit.validation import check_user, read_user
from penchant.steering.methods.method import VectorMethod
from penchant.steering.methods.registry import DEFAULT_METHOD, VECTOR_METHODS, vector_method
from penchant.steering.storage.bank import Bank
from penchant.steering.storage.bank_file import StaleBankError, load_bank, save_bank
from penchant.steering.storage.fitted_state import (
    Place,
    files_of,
    find_setting,
    in_store,
    read_check,
    remove_outdated,
    remove_stale,
    storage_of,
    write_check,
    write_setting,
)
from penchant.steering.storage.quantization import Storage

PAIRS = 64
"""Newest pairs of a user that become rows of the bank."""
FIT_USERS, FIT_PAIRS = 40, 16
"""Most other users that a setting is chosen on, and pairs of each, evenly spread."""
FEWEST_PAIRS, FEWEST_USERS = 4, 2
"""Whoever has fewer pairs isn't chosen on; with fewer such users a user's own samples have to do."""
TOO_LONG = "its prompt doesn't fit the model's window"


def fit_user(
    place: Place,
    history: History,
    loaded: LoadedModel,
    wording: Wording,
    method: str = DEFAULT_METHOD,
    *,
    pairs: int = PAIRS,
    refit: bool = False,
    storage: Storage = "bfloat16",
    similarity: Similarity | None = None,
    half_life: float | None = None,
    task: str | None = None,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Everything that `steered` needs for a user, kept in `place`; what is there already isn't made again.

    history: the user's. pairs: at most so many, the newest. refit: choose the setting anew (in a store: for all users
    of the method). storage: of the bank's numbers. similarity, half_life: see `fit_setting` (default: as the setting
    has it; where it is chosen now, hidden states, and no age). task: what kind of answer the pairs are, in the words of
    requests. seed: of whatever is drawn. Raises `InputError` for an unknown method, one that can't be kept, a history
    without a usable pair, or a setting that was chosen with another similarity or half-life; `StoreError` when
    something was erased meanwhile, or can't be written.
    """
    began = time.perf_counter()
    chosen = vector_method(method)
    if chosen.reading == "prompt_last":
        keepable = [name for name, one in VECTOR_METHODS.items() if one.reading != "prompt_last"]
        raise InputError(
            f"{method} mixes several records in each vector, so none could be erased by itself: it can be measured, "
            f"not kept; expected one of {', '.join(keepable)}"
        )
    if storage not in get_args(Storage):
        raise InputError(f"storage {storage!r}: expected one of {', '.join(get_args(Storage))}")
    work = _Work(place, loaded, wording, chosen, task, seed, progress, similarity, half_life)
    samples = work.own(history, pairs)
    setting, shared, fitted = work.setting(samples, refit)
    bank, read = work.bank(setting, samples, storage)
    by_row = {row_of(place.user, sample).contrast: sample for sample in samples}
    used = [by_row[row.contrast] for row in bank.rows]
    checked = read_check(place, setting, bank)
    if checked is None or read or fitted:
        progress("checking", 0, 1)
        checked = check_user(loaded, setting, used, bank, wording=wording)
        write_check(place, setting, bank, checked, still=lambda: alive(place, used))
        progress("checking", 1, 1)
    remove_stale(place, setting)
    size = sum(path.stat().st_size for path in files_of(place, method, loaded.fingerprint))
    seconds = round(time.perf_counter() - began, 3)
    return Report(place.user, setting, shared, fitted, checked, len(bank), read, work.skipped, storage, size, seconds)


@dataclass
class _Work:
    place: Place
    loaded: LoadedModel
    wording: Wording
    method: VectorMethod
    task: str | None
    seed: int
    progress: Progress
    similarity: Similarity | None = None
    half_life: float | None = None
    skipped: Counter[str] = field(default_factory=Counter)

    def own(self, history: History, most: int) -> list[Sample]:
        """The user's samples, in time order, feedback behind. Raises `InputError` for none."""
        feedback = ContrastFile(self.place.contrasts, self.place.user).contrasts(["feedback"])
        if any(map(is_pair, history)) or not feedback:
            made, self.skipped = self._samples(self.place, history, most, "newest")
        else:
            made = []
        found: dict[str, Sample] = {}
        for sample in (*made, *feedback):
            if self._fits(sample):
                found.setdefault(row_of(self.place.user, sample).contrast, sample)
        if not found:
            why = "; ".join(f"{count} {reason}" for reason, count in self.skipped.items()) or TOO_LONG
            raise InputError(f"no sample of the user can be used ({why}): import more records with a text and a reply")
        return list(found.values())

    def setting(self, own: Sequence[Sample], refit: bool) -> tuple[Setting, bool, bool]:
        """The setting, whether it is shared, and whether it was chosen now."""
        known = find_setting(self.place, self.method.name, self.loaded.fingerprint)
        if known is not None and not refit and (known[1] or self.place.store is None):
            return (*self._as_asked(known), False)
        others = self._others()
        if len(others) < FEWEST_USERS:
            if known is not None and (known[1] or not refit):
                return (*self._as_asked(known), False)
            setting = self._fit({self.place.user: own})
            sources = {source for one in own for source in row_of(self.place.user, one).sources}
            write_setting(self.place, setting, sources, lambda: alive(self.place, own))
            return setting, False, True
        store = self.place.store
        assert store is not None  # where others are from
        setting = self._fit(others)
        contributors = {source for user, some in others.items() for one in some for source in row_of(user, one).sources}

        def still() -> bool:
            return all(all(alive(in_store(store, user), some)) for user, some in others.items())

        save_setting(store.directory, setting, sorted(contributors), still)
        remove_outdated(store, setting)
        return setting, True, True

    def bank(self, setting: Setting, samples: Sequence[Sample], storage: Storage) -> tuple[Bank, int]:
        """The bank as it is kept, and how many rows were read now."""
        if storage == "low-rank" and setting.basis is None:
            raise InputError(
                f"the setting of {setting.method} is of an earlier version, without a basis for low-rank vectors: "
                "add --refit, or take another storage"
            )
        path = self.place.bank(setting)
        known: Bank | None = None
        if storage_of(path) == storage:
            try:
                known = load_bank(path, setting.origin, basis=setting.basis)
            except (StaleBankError, StoreError):
                known = None  # of another format, or damaged: made anew below
        there = {} if known is None else {row: place for place, row in enumerate(known.rows)}
        banks, order, read = [] if known is None else [known], [], 0
        wanted = [row_of(self.place.user, sample) for sample in samples]
        new = sum(row not in there for row in wanted)
        for row, sample in zip(wanted, samples, strict=True):
            if row in there:
                order.append(there[row])
                continue
            # Alone: rounding would show what was read along with it.
            banks.append(read_user(self.loaded, setting, self.place.user, [sample], self.wording))
            order.append((0 if known is None else len(known)) + read)
            read += 1
            self.progress("reading answers", read, new)
        vectors = {site: torch.cat([bank.vectors[site] for bank in banks])[order] for site in setting.sites}
        keys = torch.cat([bank.keys for bank in banks])[order]
        whole = replace(banks[0], vectors=vectors, keys=keys, rows=tuple(wanted))
        save_bank(path, whole, storage, basis=setting.basis, still=lambda: alive(self.place, samples))
        try:
            return load_bank(path, setting.origin, basis=setting.basis), read  # as requests will have it
        except StaleBankError:
            raise StoreError("the user's records were erased while they were read: nothing is kept") from None

    def _fit(self, samples: Mapping[str, Sequence[Sample]]) -> Setting:
        return fit_setting(
            self.loaded,
            self.method,
            samples,
            self.wording,
            similarity=self.similarity or "hidden",
            half_life=self.half_life,
            progress=self.progress,
        )

    def _as_asked(self, known: tuple[Setting, bool]) -> tuple[Setting, bool]:
        """The same. Raises `InputError` for a setting that was chosen with something else than what is asked for."""
        setting = known[0]
        kept = {"similarity": setting.similarity, "half-life": setting.aggregation.half_life}
        asked = {"similarity": self.similarity, "half-life": self.half_life}
        for name, value in asked.items():
            if value is not None and value != kept[name]:
                raise InputError(
                    f"the setting of {setting.method} has {name} {kept[name] or 'none'}, not {value}: expected what it "
                    "was chosen with; --refit chooses anew (in a store, for all its users and on at least two others)"
                )
        return known

    def _others(self) -> dict[str, list[Sample]]:
        """Samples of other users to choose a setting on."""
        store = self.place.store
        if store is None:
            return {}
        names = [entry.user for entry in store.all_users() if entry.user != self.place.user]
        random.Random(self.seed).shuffle(names)
        found: dict[str, list[Sample]] = {}
        for name in names:
            if len(found) == FIT_USERS:
                break
            try:
                history = store.history(name)
            except InputError:  # forgotten since
                continue
            if sum(map(is_pair, history)) < FEWEST_PAIRS:
                continue
            samples, _ = self._samples(in_store(store, name), history, FIT_PAIRS, "even")
            if len(samples) >= FEWEST_PAIRS:
                found[name] = samples
        return found

    def _samples(self, place: Place, history: History, most: int, spread: Spread) -> tuple[list[Sample], Counter[str]]:
        """Samples of anybody, and how many pairs gave none, by reason."""
        pairs = own_pairs(history, task=self.task, most=most, spread=spread)
        usable = [pair for pair in pairs if self._fits(pair)]
        skipped = Counter({TOO_LONG: len(pairs) - len(usable)}) if len(usable) < len(pairs) else Counter[str]()
        if self.method.reading == "gradient" or not usable:
            return list(usable), skipped
        donors = self._donors(place)
        recipe = Recipe(source="none" if donors is None else "others", seed=self.seed)
        file = ContrastFile(place.contrasts, place.user)
        made = make_contrasts(
            self.loaded,
            usable,
            file,
            self.wording,
            donors=donors,
            recipe=recipe,
            alive=place.alive,
            progress=lambda done, total: self.progress("writing other answers", done, total),
        )
        return list(made.contrasts), skipped + made.dropped

    def _donors(self, place: Place) -> Donors | None:
        try:
            return None if place.store is None else donors_from(place.store, place.user, seed=self.seed)
        except InputError:  # nobody else has a pair
            return None

    def _fits(self, sample: Sample) -> bool:
        try:
            return bool(exchange_of(self.loaded, sample, self.wording).answer)
        except InputError:  # its prompt is longer than the window
            return False


def alive(place: Place, samples: Sequence[Sample]) -> list[bool]:
    """Which samples of a user may still be written of: their record is there, and so is their contrast."""
    known: set[str] = set()
    if any(isinstance(one, Contrast) for one in samples):
        known = {one.id for one in ContrastFile(place.contrasts, place.user).contrasts()}
    return [
        (not one.record or place.alive(place.user, one.record)) and (not isinstance(one, Contrast) or one.id in known)
        for one in samples
    ]
