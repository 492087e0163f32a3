"""The fitted state of a user's steering, on disk.

In the user's own folder: the bank, its validation (a line of numbers), and the configuration if there were no other
users to choose it on. A configuration chosen on several users is in `<store>/shared/`. Each file is erased with its
sources (store/erasure/lineage.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penchant.errors import InputError, StoreError
from penchant.hints import command, history_options
from penchant.history.records import Record
from penchant.models.loading import LoadedModel
from penchant.steering.apply.context import FittedSteering, ValidationResult
from penchant.steering.config import SteeringConfig, config_name, read_config
from penchant.steering.data.contrast import Contrast, Sample
from penchant.steering.data.contrast_file import AREA as CONTRASTS
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.data.pairs import input_of
from penchant.steering.methods.registry import VECTOR_METHODS, vector_method
from penchant.steering.storage.bank import Bank, Row, identity
from penchant.steering.storage.bank_file import AREA, StaleBankError, bank_path, load_bank
from penchant.store import Store
from penchant.store.erasure.lineage import KEY, SHARED, Still, derived_line, read_rows, write_derived, write_shared

_CHECK = ".jsonl"


@dataclass(frozen=True)
class SteeringPaths:
    """Where a user's steering lies. banks, contrasts: folders, made when something is first written. store: None for a
    history file."""

    user: str
    banks: Path
    contrasts: Path
    store: Store | None = None

    @property
    def options(self) -> dict[str, str]:
        """The options of the command line that name the user, for `hints.command`."""
        return history_options() if self.store is None else {"user": self.user, **self.store.options}

    def holds(self, user: str, record: str) -> bool:
        """Whether a record still exists."""
        return self.store is None or self.store.holds(user, record)

    def alive(self, samples: Sequence[Sample]) -> list[bool]:
        """Return which of the user's samples may still be written: those whose record and contrast still exist."""
        known: set[str] = set()
        if any(isinstance(sample, Contrast) for sample in samples):
            known = {contrast.id for contrast in ContrastFile(self.contrasts, self.user).contrasts()}
        return [
            (not sample.record or self.holds(self.user, sample.record))
            and (not isinstance(sample, Contrast) or sample.id in known)
            for sample in samples
        ]

    def inputs(self, bank: Bank, history: Callable[[], Iterable[Record]]) -> dict[str, str]:
        """The inputs of a bank's rows, by contrast, as far as what they are of is still there: the record, or the
        thumbs. history: the records, where there is no store. Raises `UnknownUserError` for a user who isn't in the
        store any more."""
        inputs = {one.id: one.request.query for one in ContrastFile(self.contrasts, self.user).contrasts()}
        records = history() if self.store is None else self.store.history(self.user)
        given = {record.id: input_of(record) for record in records}
        found = {}
        for row in bank.rows:
            there = not row.record or row.record in given
            if there and (text := inputs.get(row.contrast) or given.get(row.record, "")):
                found[row.contrast] = text
        return found

    def config(self, method: str, model: str) -> Path:
        """Return the path of this user's own configuration."""
        return self.banks / config_name(method, model)

    def shared(self, method: str, model: str) -> Path | None:
        """Return the path of the configuration chosen on several users."""
        return None if self.store is None else self.store.directory / SHARED / config_name(method, model)

    def check(self, method: str, model: str) -> Path:
        return self.banks / f"{_stem(method, model)}{_CHECK}"

    def bank(self, config: SteeringConfig) -> Path:
        """Return the path of a bank. Its name depends on the origin, so a stale bank has another name."""
        return _bank_in(self.banks, config)


def paths_in_store(store: Store, user: str) -> SteeringPaths:
    """The paths of a stored user."""
    return SteeringPaths(user, store.user_dir(AREA, user), store.user_dir(CONTRASTS, user), store)


def paths_in_folder(folder: Path, user: str = "") -> SteeringPaths:
    """Paths in a folder of their own, for a history that isn't in a store."""
    return SteeringPaths(user, folder / AREA, folder / CONTRASTS)


def find_config(paths: SteeringPaths, method: str, loaded: LoadedModel) -> tuple[SteeringConfig, bool] | None:
    """Find the configuration of a method and model, and whether it is shared. Raises `StoreError` for damage."""
    again = f"run {command('steer fit', **paths.options, method=method, **loaded.options)}"
    for model in loaded.identity.names:
        for path, shared in ((paths.shared(method, model), True), (paths.config(method, model), False)):
            if path is not None and (found := read_config(path, method, model, again)) is not None:
                return found, shared
    return None


def load_fitted(
    paths: SteeringPaths, loaded: LoadedModel, method: str, history: Callable[[], Iterable[Record]] = tuple
) -> FittedSteering:
    """Everything of a user's that a request needs. A bank that wasn't validated as it is now isn't used: what helps
    everyone is. history: gives the records, where there is no store; asked for only where their words count.

    Raises `InputError` for an unknown method or one that wasn't fitted, `StoreError` for damage.
    """
    vector_method(method)
    found = find_config(paths, method, loaded)
    if found is None:
        raise InputError(
            f"{method} has no configuration for {loaded.name}: run "
            f"{command('steer fit', **paths.options, method=method, **loaded.options)}"
        )
    config, shared = found
    try:
        bank = load_bank(paths.bank(config), config.origin, basis=config.basis)
    except StaleBankError:
        bank = None
    validation = load_validation(paths, config, bank)
    if bank is not None and validation is None:
        validation = ValidationResult("population", reason=_unchecked(paths, method, loaded.options))
    texts = paths.inputs(bank, history) if bank is not None and config.similarity != "hidden" else {}
    return FittedSteering(config, bank, validation, texts, shared)


# Files


def save_config(
    paths: SteeringPaths, config: SteeringConfig, group: Mapping[str, Sequence[Sample]], *, shared: bool
) -> None:
    """Store a configuration with its sources: it is erased with any of them.

    group: the samples that it was chosen on, by user. shared: for all users of the store; otherwise it is the user's
    own. Raises `StoreError` if it can't be written, or if something was erased meanwhile.
    """
    rows = [Row.of(user, sample) for user, samples in group.items() for sample in samples]
    sources = sorted({source for row in rows for source in row.sources})
    store = paths.store
    if not shared or store is None:
        path = paths.config(config.method, config.model)
        write_derived(path, config.to_bytes(sources), lambda: paths.alive(group[paths.user]))
        return

    def still() -> bool:
        return all(all(paths_in_store(store, user).alive(samples)) for user, samples in group.items())

    write_shared(store.directory, config_name(config.method, config.model), config.to_bytes(), sources, still)
    for banks in (store.directory / AREA).glob("*"):  # of every user: the new configuration has replaced theirs
        remove_stale(banks, config)
        (banks / config_name(config.method, config.model)).unlink(missing_ok=True)


def save_validation(
    paths: SteeringPaths,
    config: SteeringConfig,
    bank: Bank,
    validation: ValidationResult,
    *,
    still: Still,
) -> None:
    """Store the result of `validate_user`: numbers and a reason, erased with any of the records that they depend on."""
    line: dict[str, Any] = {"method": config.method, "model": config.model_name, "fingerprint": config.model}
    line |= {"sites": list(map(str, config.sites)), "scope": config.scope, "strength": config.strength}
    line |= {"similarity": config.similarity, "half_life": config.aggregation.half_life}
    line |= {**_tied(config, bank), "checked": asdict(validation)}
    sources = sorted({source for row in bank.rows for source in row.sources})
    write_derived(paths.check(config.method, config.model), (derived_line(line, sources) + "\n").encode(), still)


def load_validation(paths: SteeringPaths, config: SteeringConfig, bank: Bank | None) -> ValidationResult | None:
    """Load the validation of this configuration and these rows; None for any other."""
    line = _line(paths.check(config.method, config.model))
    if line is None or bank is None or not _tied(config, bank).items() <= line.items():
        return None
    return ValidationResult(**line["checked"])


def remove_stale(banks: Path, config: SteeringConfig) -> None:
    """Remove banks in a user's folder that were read for another configuration of the same method and model."""
    for path in banks.glob(f"{_stem(config.method, config.model)}-*"):
        if path != _bank_in(banks, config):
            path.unlink(missing_ok=True)


def steering_files(paths: SteeringPaths, method: str, model: str) -> list[Path]:
    """Return the user's files of one method and model."""
    stem = _stem(method, model)
    named = {paths.config(method, model).name, paths.check(method, model).name}
    found = paths.banks.glob("*") if paths.banks.is_dir() else ()
    return sorted(path for path in found if path.name in named or path.name.startswith(f"{stem}-"))


def summaries(paths: SteeringPaths) -> list[dict[str, Any]]:
    """Summarise what is stored for a user, a dictionary for each method and model. No model is needed."""
    found = []
    names = sorted(path.name for path in paths.banks.glob("*")) if paths.banks.is_dir() else []
    stems = {stem for name in names if (stem := _parse(name)) is not None}
    for method, model in sorted(stems):
        line = _line(paths.check(method, model)) or {}
        banks = [
            path for path in steering_files(paths, method, model) if path.name.startswith(f"{_stem(method, model)}-")
        ]
        contents = [read_rows(path) for path in banks]
        rows = sum(len(sources) for _, sources, _ in contents)
        settings = (paths.shared(method, model), paths.config(method, model))
        known = {} if line.get("model") is None else {"model": line["model"]}
        unchecked = _unchecked(paths, method, known)
        validation = line.get("checked") or {"level": "population" if banks else None, "reason": unchecked}
        about = {"method": method, "model": line.get("model"), "fingerprint": model, "rows": rows}
        about |= {name: line.get(name) for name in ("sites", "scope", "strength", "similarity", "half_life")}
        about |= {"storage": contents[0][2].get("storage") if contents else None}
        about |= {"bytes": sum(path.stat().st_size for path in steering_files(paths, method, model))}
        about |= {"setting": any(path is not None and path.is_file() for path in settings)}
        about |= {name: validation.get(name) for name in ("level", "own", "common", "answers", "reason")}
        if not about["setting"]:
            about |= {
                "level": "none",
                "reason": "its configuration was erased with a user it was chosen on: fit it again",
            }
        found.append(about)
    return found


def _unchecked(paths: SteeringPaths, method: str, model: Mapping[str, object]) -> str:
    """model: its options."""
    again = command("steer fit", **paths.options, method=method, **model)
    return f"not checked since records were erased: run {again}"


def _bank_in(banks: Path, config: SteeringConfig) -> Path:
    named = identity(config.origin, config.reading, config.key, config.sites)
    return bank_path(banks, f"{_stem(config.method, config.model)}-{named}")


def _stem(method: str, model: str) -> str:
    return f"{method}-{model[:16]}"


def _parse(name: str) -> tuple[str, str] | None:
    """Return method and model (beginning of the fingerprint) from a file's name."""
    for method in sorted(VECTOR_METHODS, key=len, reverse=True):
        if name.startswith(f"{method}-") and len(model := name.removeprefix(f"{method}-")[:16]) == 16:
            return method, model
    return None


def _tied(config: SteeringConfig, bank: Bank) -> dict[str, Any]:
    """Return what a validation depends on."""
    state = hashlib.sha256()
    plain = [config.origin, config.scope, config.strength, asdict(config.aggregation), str(config.key)]
    plain += [config.similarity] if config.similarity != "hidden" else []  # as it was before there were others
    caps = sorted((str(site), cap) for site, cap in config.caps.items())
    state.update(json.dumps([*plain, caps, list(map(str, config.sites))]).encode())
    for tensor in (config.centre, *(vector for _, vector in sorted(config.population.items()))):
        state.update(tensor.contiguous().numpy().tobytes())
    rows = hashlib.sha256("".join(row.contrast for row in bank.rows).encode()).hexdigest()[:16]
    return {"setting": state.hexdigest()[:16], "rows": rows}


def _line(path: Path) -> dict[str, Any] | None:
    try:
        line: dict[str, Any] = json.loads(path.read_bytes())
        return line if KEY in line else None
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise StoreError(f"{path} can't be read ({error.strerror or error}): make it readable") from error
