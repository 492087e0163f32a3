"""What is kept of a user's steering, where, and how it is found again.

In the user's own folder: the bank, whether it helped (a line of numbers), and the setting where there was nobody else
to choose it on. A setting chosen on several users lies in `<store>/shared/`. Each file goes with what it is derived
from (history/store/derived.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from penchant.errors import InputError, StoreError
from penchant.history.records import Record
from penchant.models.loading import LoadedModel
from penchant.steering.config import Setting, read_setting, setting_name
from penchant.steering.data.contrast_file import AREA as CONTRASTS
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.data.pairs import input_of
from penchant.steering.fit.validation import Checked, Steered, steer_request
from penchant.steering.methods.registry import VECTOR_METHODS, vector_method
from penchant.steering.storage.bank import Bank, identity
from penchant.steering.storage.bank_file import AREA, StaleBankError, bank_path, load_bank
from penchant.store import Store
from penchant.store.erasure.lineage import KEY, SHARED, Source, derived_line, locked, read_rows, replace_file, root_of

_CHECK = ".jsonl"
_UNCHECKED = "not checked since records were erased: run `penchant steer fit`"


@dataclass(frozen=True)
class Place:
    """Where a user's steering lies. banks, contrasts: folders, made when something is first written. store: None for a
    history file. named: the option of the command line that names the user. history: the records, where there is no
    store."""

    user: str
    banks: Path
    contrasts: Path
    store: Store | None = None
    named: str = "--history FILE"
    history: Callable[[], Iterable[Record]] = tuple

    def alive(self, user: str, record: str) -> bool:
        """Whether a record is still there."""
        return self.store is None or self.store.holds(user, record)

    def inputs(self, bank: Bank) -> dict[str, str]:
        """The inputs of a bank's rows, by contrast, as far as what they are of is still there: the record, or the
        thumbs. Raises `UnknownUserError` for a user who isn't in the store any more."""
        told = {one.id: one.request.query for one in ContrastFile(self.contrasts, self.user).contrasts()}
        records = self.history() if self.store is None else self.store.history(self.user)
        given = {record.id: input_of(record) for record in records}
        found = {}
        for row in bank.rows:
            there = not row.record or row.record in given
            if there and (text := told.get(row.contrast) or given.get(row.record, "")):
                found[row.contrast] = text
        return found

    def setting(self, method: str, model: str) -> Path:
        """The setting of this user alone."""
        return self.banks / setting_name(method, model)

    def shared(self, method: str, model: str) -> Path | None:
        """The setting that was chosen on several users."""
        return None if self.store is None else self.store.directory / SHARED / setting_name(method, model)

    def check(self, method: str, model: str) -> Path:
        return self.banks / f"{_stem(method, model)}{_CHECK}"

    def bank(self, setting: Setting) -> Path:
        """A bank's file says what it was read from: a stale one has another name."""
        named = identity(setting.origin, setting.reading, setting.key, setting.sites)
        return bank_path(self.banks, f"{_stem(setting.method, setting.model)}-{named}")


def in_store(store: Store, user: str) -> Place:
    """The place of a stored user."""
    return Place(user, store.user_dir(AREA, user), store.user_dir(CONTRASTS, user), store, f"--user {user}")


def in_folder(folder: Path, user: str = "", history: Callable[[], Iterable[Record]] = tuple) -> Place:
    """A place of its own, for a history that isn't in a store."""
    return Place(user, folder / AREA, folder / CONTRASTS, history=history)


@dataclass(frozen=True)
class Kept:
    """What is in use for one user and method. bank: None without samples that were read for this setting. checked: None
    where nothing was checked. shared: whether the setting was chosen on several users. texts: the inputs of the bank's
    rows, where the setting compares words."""

    setting: Setting
    shared: bool
    bank: Bank | None
    checked: Checked | None
    texts: Mapping[str, str] = field(default_factory=dict)


def find_setting(place: Place, method: str, model: str) -> tuple[Setting, bool] | None:
    """The setting of a method and model (fingerprint), and whether it is shared. Raises `StoreError` for damage."""
    for path, shared in ((place.shared(method, model), True), (place.setting(method, model), False)):
        if path is not None and (found := read_setting(path, method, model)) is not None:
            return found, shared
    return None


def find_kept(place: Place, loaded: LoadedModel, method: str) -> Kept:
    """Everything of a user's that a request needs. Raises `InputError` for an unknown method or one without a setting,
    `StoreError` for damage."""
    vector_method(method)
    found = find_setting(place, method, loaded.fingerprint)
    if found is None:
        raise InputError(
            f"{method} has no setting for {loaded.name}: run `penchant steer fit {place.named} --method {method}`"
        )
    setting, shared = found
    try:
        bank = load_bank(place.bank(setting), setting.origin, basis=setting.basis)
    except StaleBankError:
        bank = None
    texts = place.inputs(bank) if bank is not None and setting.similarity != "hidden" else {}
    return Kept(setting, shared, bank, read_check(place, setting, bank), texts)


def steered(place: Place, loaded: LoadedModel, method: str, query: str, *, now: datetime | None = None) -> Steered:
    """What is written for a request of this user; who has no bank gets the population's. Raises as `find_kept`."""
    return apply_kept(find_kept(place, loaded, method), loaded, query, now=now)


def apply_kept(kept: Kept, loaded: LoadedModel, query: str, *, now: datetime | None = None) -> Steered:
    """The same for what was found. A bank that was not checked as it is now doesn't count: what helps others does."""
    checked = kept.checked
    if checked is None and kept.bank is not None:
        checked = Checked("population", reason=_UNCHECKED)
    return steer_request(loaded, kept.setting, kept.bank, query, checked=checked, texts=kept.texts, now=now)


# Files


def write_check(
    place: Place, setting: Setting, bank: Bank, checked: Checked, *, still: Callable[[], Sequence[bool]]
) -> None:
    """Keep what `check_user` found: numbers and a reason, which go with any of the records that they are of."""
    about = {"method": setting.method, "model": setting.model_name, "fingerprint": setting.model}
    written = {"sites": list(map(str, setting.sites)), "scope": setting.scope, "strength": setting.strength}
    written |= {"similarity": setting.similarity, "half_life": setting.aggregation.half_life}
    fields = {**about, **written, **_tied(setting, bank), "checked": asdict(checked)}
    sources = sorted({source for row in bank.rows for source in row.sources})
    write_derived(place.check(setting.method, setting.model), (derived_line(fields, sources) + "\n").encode(), still)


def read_check(place: Place, setting: Setting, bank: Bank | None) -> Checked | None:
    """What was found with this setting and these rows; None for any other."""
    line = _line(place.check(setting.method, setting.model))
    if line is None or bank is None or any(line.get(name) != value for name, value in _tied(setting, bank).items()):
        return None
    return Checked(**line["checked"])


def write_setting(
    place: Place, setting: Setting, sources: Iterable[Source], still: Callable[[], Sequence[bool]]
) -> None:
    """Keep a setting that was chosen on this user's own samples: it goes with any of them."""
    write_derived(place.setting(setting.method, setting.model), setting.to_bytes(set(sources)), still)


def write_derived(path: Path, content: bytes, still: Callable[[], Sequence[bool]]) -> None:
    """Write a file that goes as a whole, unless something that it is derived from went already."""
    with locked(root_of(path)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content if all(still()) else b"")
        except OSError as error:
            raise StoreError(f"{path} can't be written ({error.strerror or error}): free space") from error


def storage_of(path: Path) -> str | None:
    """How a bank's numbers are stored; None where there is no bank that could be read."""
    try:
        return read_rows(path)[2].get("storage")
    except (FileNotFoundError, StoreError):
        return None


def remove_stale(place: Place, setting: Setting) -> None:
    """Banks of this user that were read for another setting of the same method and model."""
    for path in place.banks.glob(f"{_stem(setting.method, setting.model)}-*"):
        if path != place.bank(setting):
            path.unlink(missing_ok=True)


def remove_outdated(store: Store, setting: Setting) -> None:
    """The same for every user, and settings of one user alone: a new shared one has taken their place."""
    for folder in (store.directory / AREA).glob("*"):
        place = Place("", folder, folder, store)
        remove_stale(place, setting)
        place.setting(setting.method, setting.model).unlink(missing_ok=True)


def files_of(place: Place, method: str, model: str) -> list[Path]:
    """The user's files of one method and model."""
    stem = _stem(method, model)
    named = {place.setting(method, model).name, place.check(method, model).name}
    found = place.banks.glob("*") if place.banks.is_dir() else ()
    return sorted(path for path in found if path.name in named or path.name.startswith(f"{stem}-"))


def summaries(place: Place) -> list[dict[str, Any]]:
    """What is kept for a user, a dictionary for each method and model; no model is needed to see it."""
    found = []
    names = sorted(path.name for path in place.banks.glob("*")) if place.banks.is_dir() else []
    stems = {stem for name in names if (stem := _parse(name)) is not None}
    for method, model in sorted(stems):
        line = _line(place.check(method, model)) or {}
        banks = [path for path in files_of(place, method, model) if path.name.startswith(f"{_stem(method, model)}-")]
        rows = [len(read_rows(path)[1]) for path in banks]
        settings = (place.shared(method, model), place.setting(method, model))
        checked = line.get("checked") or {"level": "population" if rows else None, "reason": _UNCHECKED}
        about = {"method": method, "model": line.get("model"), "fingerprint": model, "rows": sum(rows)}
        about |= {name: line.get(name) for name in ("sites", "scope", "strength", "similarity", "half_life")}
        about |= {"storage": storage_of(banks[0]) if banks else None}
        about |= {"bytes": sum(path.stat().st_size for path in files_of(place, method, model))}
        about |= {"setting": any(path is not None and path.is_file() for path in settings)}
        about |= {name: checked.get(name) for name in ("level", "own", "common", "answers", "reason")}
        if not about["setting"]:
            about |= {"level": "none", "reason": "its setting was erased with a user it was chosen on: fit it again"}
        found.append(about)
    return found


def _stem(method: str, model: str) -> str:
    return f"{method}-{model[:16]}"


def _parse(name: str) -> tuple[str, str] | None:
    """Method and model (the fingerprint's beginning) of a file's name."""
    for method in sorted(VECTOR_METHODS, key=len, reverse=True):
        if name.startswith(f"{method}-") and len(model := name.removeprefix(f"{method}-")[:16]) == 16:
            return method, model
    return None


def _tied(setting: Setting, bank: Bank) -> dict[str, Any]:
    """What a check is of."""
    state = hashlib.sha256()
    plain = [setting.origin, setting.scope, setting.strength, asdict(setting.aggregation), str(setting.key)]
    plain += [setting.similarity] if setting.similarity != "hidden" else []  # as it was before there were others
    caps = sorted((str(site), cap) for site, cap in setting.caps.items())
    state.update(json.dumps([*plain, caps, list(map(str, setting.sites))]).encode())
    for tensor in (setting.centre, *(vector for _, vector in sorted(setting.population.items()))):
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
