"""Fits and stores a user's steering: samples, configuration, bank, validation.

A second run reads only new samples. Each row is read alone, so that after an erasure the rest is bitwise the same as if
the erased data had never been there.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypedDict, get_args

import torch

from penchant.errors import InputError, StoreError
from penchant.history.records import History
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress
from penchant.steering.choices import PAIRS, Similarity, Storage
from penchant.steering.config import SteeringConfig
from penchant.steering.data.contrast import PromptTemplate, Sample
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.data.contrast_generation import Recipe, generate_contrasts
from penchant.steering.data.pairs import Spread, donors_from, is_pair, own_pairs
from penchant.steering.extract.extractor import exchange_of, extract_bank
from penchant.steering.fit.cross_validation import validate_user
from penchant.steering.fit.report import FitReport
from penchant.steering.fit.search import fit_config
from penchant.steering.methods.method import VectorMethod
from penchant.steering.methods.registry import DEFAULT_METHOD, VECTOR_METHODS, vector_method
from penchant.steering.storage.bank import Bank, Row
from penchant.steering.storage.bank_file import StaleBankError, load_bank, save_bank
from penchant.steering.storage.fitted_state import (
    SteeringPaths,
    find_config,
    load_validation,
    paths_in_store,
    remove_stale,
    save_config,
    save_validation,
    steering_files,
)

FIT_USERS, FIT_PAIRS = 40, 16
"""Most other users on which a configuration is chosen, and most pairs of each, evenly spread."""
FEWEST_PAIRS, FEWEST_USERS = 4, 2
"""Users with fewer pairs are not used; with fewer such users, the configuration is chosen on the user's own samples."""
TOO_LONG = "its prompt doesn't fit the model's window"


class FitOptions(TypedDict, total=False):
    """The options of `fit_user`."""

    pairs: int
    refit: bool
    storage: Storage
    similarity: Similarity | None
    half_life: float | None
    task: str | None
    seed: int
    progress: Progress


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
    """Fit everything that a user's requests need, and store it at `paths`; existing parts are reused.

    history: the user's. pairs: most pairs to use, the newest ones. refit: choose the configuration again (in a store:
    for all users of the method). storage: format of the bank's numbers. similarity, half_life: see `fit_config`
    (default: those of an existing configuration, else hidden states and no ageing). task: the task of the pairs, in the
    words of requests. seed: for everything random. Raises `InputError` for an unknown method, one that can't be stored,
    a history without a usable pair, or a configuration that was chosen with another similarity or half-life;
    `StoreError` if something was erased meanwhile, or can't be written.
    """
    began = time.perf_counter()
    if storage not in get_args(Storage):
        raise InputError(f"storage {storage!r}: expected one of {', '.join(get_args(Storage))}")
    fit = _Fit(paths, loaded, template, _storable(method), task, seed, progress)

    # 1. Samples: the user's own answers, as contrasts where the method reads those, and thumbs up and down.
    samples, skipped = fit.own_samples(history, pairs)

    # 2. The configuration: the stored one, or a new one, chosen on other users if there are enough.
    config, shared = find_config(paths, method, loaded) or (None, False)
    others = {} if shared and not refit else fit.other_users()
    enough = len(others) >= FEWEST_USERS
    fitted = enough or config is None or (refit and not shared)
    if config is None or fitted:
        group, shared = (others if enough else {paths.user: samples}), enough
        config = fit_config(
            loaded,
            fit.method,
            group,
            template,
            similarity=similarity or "hidden",
            half_life=half_life,
            progress=progress,
        )
        save_config(paths, config, group, shared=shared)
    else:
        _check_asked(config, similarity, half_life)

    # 3. The bank: the stored rows, then the new ones.
    bank, read = fit.bank(config, samples, storage)
    by_id = {sample.id: sample for sample in samples}
    samples = [by_id[row.contrast] for row in bank.rows]

    # 4. Validation: whether the vectors help the user.
    validation = load_validation(paths, config, bank)
    if validation is None or read or fitted:
        progress("checking", 0, 1)
        validation = validate_user(loaded, config, samples, bank, template=template)
        save_validation(paths, config, bank, validation, still=lambda: paths.alive(samples))
        progress("checking", 1, 1)

    # 5. Remove outdated files.
    remove_stale(paths.banks, config)
    size = sum(path.stat().st_size for path in steering_files(paths, method, config.model))
    seconds = round(time.perf_counter() - began, 3)
    return FitReport(paths.user, config, shared, fitted, validation, len(bank), read, skipped, storage, size, seconds)


@dataclass(frozen=True)
class _Fit:
    """One fit: whose it is, and what all its steps share."""

    paths: SteeringPaths
    loaded: LoadedModel
    template: PromptTemplate
    method: VectorMethod
    task: str | None
    seed: int
    progress: Progress

    def own_samples(self, history: History, most: int) -> tuple[list[Sample], Counter[str]]:
        """Return the user's samples in time order, then feedback, and how many pairs gave none, by reason. Raises
        `InputError` if there are no samples.
        """
        feedback = self._file.contrasts(["feedback"])
        samples: list[Sample] = []
        skipped = Counter[str]()
        if any(map(is_pair, history)) or not feedback:
            samples, skipped = self._samples(history, most, "newest")
        found: dict[str, Sample] = {}
        for sample in (*samples, *filter(self._has_room, feedback)):
            found.setdefault(sample.id, sample)
        if not found:
            why = "; ".join(f"{count} {reason}" for reason, count in skipped.items()) or TOO_LONG
            raise InputError(f"no sample of the user can be used ({why}): import more records with a text and a reply")
        return list(found.values()), skipped

    def other_users(self) -> dict[str, list[Sample]]:
        """Return samples of other users to choose a configuration on; none without a store."""
        store = self.paths.store
        if store is None:
            return {}
        users = [user.user for user in store.all_users() if user.user != self.paths.user]
        random.Random(self.seed).shuffle(users)
        found: dict[str, list[Sample]] = {}
        for user in users:
            if len(found) == FIT_USERS:
                break
            try:
                history = store.history(user)
            except InputError:  # erased meanwhile
                continue
            if sum(map(is_pair, history)) < FEWEST_PAIRS:
                continue
            samples, _ = replace(self, paths=paths_in_store(store, user))._samples(history, FIT_PAIRS, "even")
            if len(samples) >= FEWEST_PAIRS:
                found[user] = samples
        return found

    def bank(self, config: SteeringConfig, samples: Sequence[Sample], storage: Storage) -> tuple[Bank, int]:
        """Return the stored bank, and how many rows were read now."""
        if storage == "low-rank" and config.basis is None:
            raise InputError(
                f"the configuration of {config.method} is from an earlier version, without a basis for low-rank "
                "vectors: add --refit, or take another storage"
            )
        path = self.paths.bank(config)
        banks: list[Bank] = []
        with suppress(StaleBankError, StoreError):  # none, or stored otherwise, or damaged: made anew below
            banks.append(load_bank(path, config.origin, basis=config.basis, storage=storage))
        there = {row for bank in banks for row in bank.rows}
        rows = {Row.of(self.paths.user, sample): sample for sample in samples}
        new = [sample for row, sample in rows.items() if row not in there]
        for number, sample in enumerate(new, 1):
            # Alone: rounding would depend on other rows in the batch.
            banks.append(extract_bank(self.loaded, config, self.paths.user, [sample], self.template))
            self.progress("reading answers", number, len(new))
        save_bank(
            path, _joined(banks, list(rows)), storage, basis=config.basis, still=lambda: self.paths.alive(samples)
        )
        try:
            # In the precision that requests will get.
            return load_bank(path, config.origin, basis=config.basis), len(new)
        except StaleBankError:
            raise StoreError("the user's records were erased while they were read: nothing is stored") from None

    def _samples(self, history: History, most: int, spread: Spread) -> tuple[list[Sample], Counter[str]]:
        """Return samples of a history, and how many pairs gave none, by reason."""
        pairs = own_pairs(history, task=self.task, most=most, spread=spread)
        usable = [pair for pair in pairs if self._has_room(pair)]
        skipped = Counter({TOO_LONG: len(pairs) - len(usable)}) if len(usable) < len(pairs) else Counter[str]()
        if self.method.reading == "gradient" or not usable:
            return list(usable), skipped
        store = self.paths.store
        try:
            donors = None if store is None else donors_from(store, self.paths.user, seed=self.seed)
        except InputError:  # no other user has a pair
            donors = None
        generated = generate_contrasts(
            self.loaded,
            usable,
            self._file,
            self.template,
            donors=donors,
            recipe=Recipe(source="none" if donors is None else "others", seed=self.seed),
            holds=self.paths.holds,
            progress=self.progress,
        )
        return list(generated.contrasts), skipped + generated.dropped

    @property
    def _file(self) -> ContrastFile:
        return ContrastFile(self.paths.contrasts, self.paths.user)

    def _has_room(self, sample: Sample) -> bool:
        """Whether the sample's prompt and some of its answer fit the model's window."""
        try:
            return bool(exchange_of(self.loaded, sample, self.template).answer)
        except InputError:
            return False


def _storable(method: str) -> VectorMethod:
    """Return the method. Raises `InputError` for an unknown one, or one that can't be stored."""
    found = vector_method(method)
    if found.reading == "prompt_last":
        storable = [name for name, one in VECTOR_METHODS.items() if one.reading != "prompt_last"]
        raise InputError(
            f"{method} mixes several records in each vector, so none could be erased by itself: it can be measured, "
            f"not kept; expected one of {', '.join(storable)}"
        )
    return found


def _check_asked(config: SteeringConfig, similarity: Similarity | None, half_life: float | None) -> None:
    """Raise `InputError` for a configuration that was chosen with other options than the requested ones."""
    for name, value, used in (
        ("similarity", similarity, config.similarity),
        ("half-life", half_life, config.aggregation.half_life),
    ):
        if value is not None and value != used:
            raise InputError(
                f"the configuration of {config.method} has {name} {used or 'none'}, not {value}: expected what it was "
                "chosen with; --refit chooses anew (in a store, for all its users and on at least two others)"
            )


def _joined(banks: Sequence[Bank], rows: Sequence[Row]) -> Bank:
    """Return one bank of these rows, in this order."""
    indices = {row: index for index, row in enumerate(row for bank in banks for row in bank.rows)}
    order = [indices[row] for row in rows]
    vectors = {site: torch.cat([bank.vectors[site] for bank in banks])[order] for site in banks[0].sites}
    keys = torch.cat([bank.keys for bank in banks])[order]
    return replace(banks[0], vectors=vectors, keys=keys, rows=tuple(rows))
