"""Fitting a user's steering and keeping it: samples, the configuration, the bank, and whether it helps.

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
from penchant.progress import Progress, no_progress
from penchant.steering.apply.similarity import Similarity
from penchant.steering.config import SteeringConfig, save_config
from penchant.steering.data.contrast import Contrast
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.data.contrast_generation import Recipe, generate_contrasts
from penchant.steering.data.donors import Donors, donors_from
from penchant.steering.data.pairs import Spread, is_pair, own_pairs
from penchant.steering.extract.extractor import PromptTemplate, Sample, exchange_of, extract_bank, row_of
from penchant.steering.fit.report import FitReport
from penchant.steering.fit.search import fit_config
from penchant.steering.fit.validation import validate_user
from penchant.steering.methods.method import VectorMethod
from penchant.steering.methods.registry import DEFAULT_METHOD, VECTOR_METHODS, vector_method
from penchant.steering.storage.bank import Bank
from penchant.steering.storage.bank_file import StaleBankError, load_bank, save_bank
from penchant.steering.storage.fitted_state import (
    SteeringPaths,
    find_config,
    load_validation,
    paths_in_store,
    remove_outdated,
    remove_stale,
    save_own_config,
    save_validation,
    steering_files,
    storage_of,
)
from penchant.steering.storage.quantization import Storage

PAIRS = 64
"""Newest pairs of a user that become rows of the bank."""
FIT_USERS, FIT_PAIRS = 40, 16
"""Most other users that a configuration is chosen on, and pairs of each, evenly spread."""
FEWEST_PAIRS, FEWEST_USERS = 4, 2
"""Whoever has fewer pairs isn't chosen on; with fewer such users a user's own samples have to do."""
TOO_LONG = "its prompt doesn't fit the model's window"


def fit_user(
    paths: SteeringPaths,
    history: History,
    loaded: LoadedModel,
    template: PromptTemplate,
    method: str = DEFAULT_METHOD,
    *,
    pairs: int = PAIRS,
    refit: bool = False,
    storage: Storage = "bfloat16",
    similarity: Similarity | None = None,
    half_life: float | None = None,
    task: str | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> FitReport:
    """Fit everything that a request of a user needs, and store it at `paths`; what is there already isn't made again.

    history: the user's. pairs: at most so many, the newest. refit: choose the configuration anew (in a store: for all
    users of the method). storage: of the bank's numbers. similarity, half_life: see `fit_config` (default: as the
    configuration has it; where it is chosen now, hidden states, and no age). task: what kind of answer the pairs are,
    in the words of requests. seed: of whatever is drawn. Raises `InputError` for an unknown method, one that can't be
    kept, a history without a usable pair, or a configuration that was chosen with another similarity or half-life;
    `StoreError` when something was erased meanwhile, or can't be written.
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
    trainer = _Trainer(paths, loaded, template, chosen, task, seed, progress, similarity, half_life)
    samples = trainer.samples(history, pairs)
    config, shared, fitted = trainer.config(samples, refit)
    bank, read = trainer.bank(config, samples, storage)
    by_row = {row_of(paths.user, sample).contrast: sample for sample in samples}
    samples = [by_row[row.contrast] for row in bank.rows]
    validation = load_validation(paths, config, bank)
    if validation is None or read or fitted:
        progress("checking", 0, 1)
        validation = validate_user(loaded, config, samples, bank, template=template)
        save_validation(paths, config, bank, validation, still=lambda: alive(paths, samples))
        progress("checking", 1, 1)
    remove_stale(paths, config)
    size = sum(path.stat().st_size for path in steering_files(paths, method, loaded.fingerprint))
    seconds = round(time.perf_counter() - began, 3)
    return FitReport(
        paths.user, config, shared, fitted, validation, len(bank), read, trainer.skipped, storage, size, seconds
    )


@dataclass
class _Trainer:
    paths: SteeringPaths
    loaded: LoadedModel
    template: PromptTemplate
    method: VectorMethod
    task: str | None
    seed: int
    progress: Progress
    similarity: Similarity | None = None
    half_life: float | None = None
    skipped: Counter[str] = field(default_factory=Counter)

    def samples(self, history: History, most: int) -> list[Sample]:
        """The user's samples, in time order, feedback behind. Raises `InputError` for none."""
        feedback = ContrastFile(self.paths.contrasts, self.paths.user).contrasts(["feedback"])
        if any(map(is_pair, history)) or not feedback:
            made, self.skipped = self._samples(self.paths, history, most, "newest")
        else:
            made = []
        found: dict[str, Sample] = {}
        for sample in (*made, *feedback):
            if self._fits(sample):
                found.setdefault(row_of(self.paths.user, sample).contrast, sample)
        if not found:
            why = "; ".join(f"{count} {reason}" for reason, count in self.skipped.items()) or TOO_LONG
            raise InputError(f"no sample of the user can be used ({why}): import more records with a text and a reply")
        return list(found.values())

    def config(self, samples: Sequence[Sample], refit: bool) -> tuple[SteeringConfig, bool, bool]:
        """The configuration, whether it is shared, and whether it was chosen now."""
        known = find_config(self.paths, self.method.name, self.loaded.fingerprint)
        if known is not None and not refit and (known[1] or self.paths.store is None):
            return (*self._as_asked(known), False)
        others = self._others()
        if len(others) < FEWEST_USERS:
            if known is not None and (known[1] or not refit):
                return (*self._as_asked(known), False)
            config = self._fit({self.paths.user: samples})
            sources = {source for sample in samples for source in row_of(self.paths.user, sample).sources}
            save_own_config(self.paths, config, sources, lambda: alive(self.paths, samples))
            return config, False, True
        store = self.paths.store
        assert store is not None  # where others are from
        config = self._fit(others)
        contributors = {
            source for user, samples in others.items() for sample in samples for source in row_of(user, sample).sources
        }

        def still() -> bool:
            return all(all(alive(paths_in_store(store, user), samples)) for user, samples in others.items())

        save_config(store.directory, config, sorted(contributors), still)
        remove_outdated(store, config)
        return config, True, True

    def bank(self, config: SteeringConfig, samples: Sequence[Sample], storage: Storage) -> tuple[Bank, int]:
        """The bank as it is kept, and how many rows were read now."""
        if storage == "low-rank" and config.basis is None:
            raise InputError(
                f"the setting of {config.method} is of an earlier version, without a basis for low-rank vectors: "
                "add --refit, or take another storage"
            )
        path = self.paths.bank(config)
        known: Bank | None = None
        if storage_of(path) == storage:
            try:
                known = load_bank(path, config.origin, basis=config.basis)
            except (StaleBankError, StoreError):
                known = None  # of another format, or damaged: made anew below
        there = {} if known is None else {row: index for index, row in enumerate(known.rows)}
        banks, order, read = [] if known is None else [known], [], 0
        wanted = [row_of(self.paths.user, sample) for sample in samples]
        new = sum(row not in there for row in wanted)
        for row, sample in zip(wanted, samples, strict=True):
            if row in there:
                order.append(there[row])
                continue
            # Alone: rounding would show what was read along with it.
            banks.append(extract_bank(self.loaded, config, self.paths.user, [sample], self.template))
            order.append((0 if known is None else len(known)) + read)
            read += 1
            self.progress("reading answers", read, new)
        vectors = {site: torch.cat([bank.vectors[site] for bank in banks])[order] for site in config.sites}
        keys = torch.cat([bank.keys for bank in banks])[order]
        whole = replace(banks[0], vectors=vectors, keys=keys, rows=tuple(wanted))
        save_bank(path, whole, storage, basis=config.basis, still=lambda: alive(self.paths, samples))
        try:
            return load_bank(path, config.origin, basis=config.basis), read  # as requests will have it
        except StaleBankError:
            raise StoreError("the user's records were erased while they were read: nothing is kept") from None

    def _fit(self, samples: Mapping[str, Sequence[Sample]]) -> SteeringConfig:
        return fit_config(
            self.loaded,
            self.method,
            samples,
            self.template,
            similarity=self.similarity or "hidden",
            half_life=self.half_life,
            progress=self.progress,
        )

    def _as_asked(self, known: tuple[SteeringConfig, bool]) -> tuple[SteeringConfig, bool]:
        """The same. Raises `InputError` for a configuration that was chosen with something else than what is asked
        for."""
        config = known[0]
        used = {"similarity": config.similarity, "half-life": config.aggregation.half_life}
        asked = {"similarity": self.similarity, "half-life": self.half_life}
        for name, value in asked.items():
            if value is not None and value != used[name]:
                raise InputError(
                    f"the setting of {config.method} has {name} {used[name] or 'none'}, not {value}: expected what it "
                    "was chosen with; --refit chooses anew (in a store, for all its users and on at least two others)"
                )
        return known

    def _others(self) -> dict[str, list[Sample]]:
        """Samples of other users to choose a configuration on."""
        store = self.paths.store
        if store is None:
            return {}
        names = [entry.user for entry in store.all_users() if entry.user != self.paths.user]
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
            samples, _ = self._samples(paths_in_store(store, name), history, FIT_PAIRS, "even")
            if len(samples) >= FEWEST_PAIRS:
                found[name] = samples
        return found

    def _samples(
        self, paths: SteeringPaths, history: History, most: int, spread: Spread
    ) -> tuple[list[Sample], Counter[str]]:
        """Samples of anybody, and how many pairs gave none, by reason."""
        pairs = own_pairs(history, task=self.task, most=most, spread=spread)
        usable = [pair for pair in pairs if self._fits(pair)]
        skipped = Counter({TOO_LONG: len(pairs) - len(usable)}) if len(usable) < len(pairs) else Counter[str]()
        if self.method.reading == "gradient" or not usable:
            return list(usable), skipped
        donors = self._donors(paths)
        recipe = Recipe(source="none" if donors is None else "others", seed=self.seed)
        file = ContrastFile(paths.contrasts, paths.user)
        made = generate_contrasts(
            self.loaded,
            usable,
            file,
            self.template,
            donors=donors,
            recipe=recipe,
            alive=paths.alive,
            progress=self.progress,
        )
        return list(made.contrasts), skipped + made.dropped

    def _donors(self, paths: SteeringPaths) -> Donors | None:
        try:
            return None if paths.store is None else donors_from(paths.store, paths.user, seed=self.seed)
        except InputError:  # nobody else has a pair
            return None

    def _fits(self, sample: Sample) -> bool:
        try:
            return bool(exchange_of(self.loaded, sample, self.template).answer)
        except InputError:  # its prompt is longer than the window
            return False


def alive(paths: SteeringPaths, samples: Sequence[Sample]) -> list[bool]:
    """Which samples of a user may still be written of: their record is there, and so is their contrast."""
    known: set[str] = set()
    if any(isinstance(sample, Contrast) for sample in samples):
        known = {one.id for one in ContrastFile(paths.contrasts, paths.user).contrasts()}
    return [
        (not sample.record or paths.alive(paths.user, sample.record))
        and (not isinstance(sample, Contrast) or sample.id in known)
        for sample in samples
    ]
