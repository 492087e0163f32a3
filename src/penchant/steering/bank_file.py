"""A bank on disk: rows of a .safetensors file that says what each is derived from (history/store/derived.py).

Nothing in a file is about anything but its rows, so that taking rows out leaves what the others alone would have made.
The exception is a basis of the bank's own ("low-rank" without a given basis): it stands in a file beside, is derived
from all rows, and goes with any of them; the bank is then stale and has to be read anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import torch
from safetensors.torch import save
from torch import Tensor

from penchant.errors import InputError, StoreError
from penchant.history.store.derived import KEY, Source, Still, read_rows, save_rows
from penchant.models.sites import Site
from penchant.steering.bank import Bank, KeySite, Reading, Row
from penchant.steering.basis import RANK, Basis, basis_of
from penchant.steering.coding import (
    Storage,
    check_rows,
    checksums,
    decode_numbers,
    decode_texts,
    encode_numbers,
    encode_texts,
)

FORMAT = "1"
AREA = "banks"
_OWN = ".basis.safetensors"
_CHECK, _KEYS, _CONTRAST, _RECORD, _WHEN = "check", "keys", "contrast", "record", "when"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMELESS = torch.iinfo(torch.int64).min


class StaleBankError(InputError):
    """There is no bank that could be used: none at all, or of another model, format or basis. Read it anew."""


def bank_path(folder: Path, identity: str) -> Path:
    """Where a bank lies. folder: `Store.user_dir(AREA, user)`; identity: see `Bank.identity`."""
    return folder / f"{identity}.safetensors"


def save_bank(
    path: Path,
    bank: Bank,
    storage: Storage = "bfloat16",
    *,
    basis: Basis | None = None,
    rank: int = RANK,
    still: Still | None = None,
) -> list[bool]:
    """Write a bank, whole or not at all. Returns which rows were written; see `still` in history/store/derived.py.

    basis: what "low-rank" writes the vectors in, shared by all users (it has to be given again to read them); without
    one, the first `rank` directions of the bank's own.
    Raises `InputError` for a wrong storage or basis, `StoreError` when the file can't be written.
    """
    if storage == "low-rank" and basis is None and len(bank):
        keep = _save(path, bank, storage, basis_of([bank], rank), own=True, still=still)
        if all(keep):
            return keep
        # The basis would show what mustn't be there any more.
        path.unlink(missing_ok=True)
        kept = [place for place, there in enumerate(keep) if there]
        left = {site: tensor[kept] for site, tensor in bank.vectors.items()}
        rows = tuple(bank.rows[place] for place in kept)
        smaller = Bank(left, bank.keys[kept], rows, bank.model, bank.reading, bank.key)
        save_bank(path, smaller, storage, rank=rank, still=None if still is None else _rest(still, kept))
        return keep
    keep = _save(path, bank, storage, basis if storage == "low-rank" else None, own=False, still=still)
    own_basis_path(path).unlink(missing_ok=True)
    return keep


def load_bank(path: Path, model: str, *, basis: Basis | None = None) -> Bank:
    """The bank at `path`, in float32. model: fingerprint of the model in use. basis: the one it was saved on.

    Raises `StaleBankError` (read it anew) for none, or one of another model, format or basis, and `StoreError` for
    damage.
    """
    try:
        tensors, sources, about = read_rows(path)
    except FileNotFoundError:
        raise StaleBankError(f"there is no bank {path.name}: expected one; read the user's contrasts first") from None
    _check_about(path, about, model)
    try:
        check_rows(tensors, _context(about, sources), tensors.pop(_CHECK), path.name)
        used, entangled = _basis_for(path, about, basis)
        sites = [Site.parse(name) for name in json.loads(about["sites"])]
        vectors = {site: decode_numbers(str(site), tensors) for site in sites}
        if used is not None:
            vectors = {site: used.vectors(site, coefficients) for site, coefficients in vectors.items()}
        rows = _rows(tensors, sources)
        reading: Reading = about["reading"]  # type: ignore[assignment]  # as written, by the checksums
        key = KeySite.parse(about["key"])
        return Bank(vectors, decode_numbers(_KEYS, tensors), rows, model, reading, key, entangled)
    except StaleBankError:
        raise
    except (KeyError, ValueError, RuntimeError, OverflowError) as error:  # InputError is a ValueError
        raise StoreError(f"the bank {path.name} is damaged ({error}): remove it and read the bank anew") from error


def own_basis_path(path: Path) -> Path:
    """Where the basis of a bank's own lies."""
    return path.with_name(path.name.removesuffix(".safetensors") + _OWN)


def bank_bytes(bank: Bank, *, basis: Basis | None = None, rank: int = RANK) -> dict[str, int]:
    """Bytes of the bank's file in each storage. "low-rank" with its own basis counts that; a shared one isn't
    counted."""
    sizes = {}
    for storage in get_args(Storage):
        given = (basis or basis_of([bank], rank)) if storage == "low-rank" else None
        sizes[storage] = _size(*_encoded(bank, storage, given), [row.sources for row in bank.rows])
        if given is not None and basis is None:
            sizes[storage] += _size(_axes(given), {"model": bank.model}, [_together(bank)])
    return sizes


def _save(
    path: Path, bank: Bank, storage: Storage, basis: Basis | None, *, own: bool, still: Still | None
) -> list[bool]:
    if basis is not None and basis.model != bank.model:
        raise InputError("the basis was made with another model than the bank: expected the same")
    tensors, about = _encoded(bank, storage, basis)
    if own and basis is not None:
        whole = None if still is None else lambda: [all(still())]
        save_rows(own_basis_path(path), _axes(basis), [_together(bank)], {"model": bank.model}, whole)
    return save_rows(path, tensors, [row.sources for row in bank.rows], about, still)


def _size(tensors: Mapping[str, Tensor], about: Mapping[str, str], sources: Sequence[Sequence[Source]]) -> int:
    header = {**about, KEY: json.dumps([list(map(str, row)) for row in sources])}
    return len(save({name: tensor.contiguous() for name, tensor in tensors.items()}, header))


def _together(bank: Bank) -> list[Source]:
    return sorted({source for row in bank.rows for source in row.sources})


def _rest(still: Still, kept: Sequence[int]) -> Still:
    def answer() -> list[bool]:
        now = still()
        return [now[place] for place in kept]

    return answer


def _encoded(bank: Bank, storage: Storage, basis: Basis | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    about = {
        "format": FORMAT,
        "model": bank.model,
        "reading": bank.reading,
        "key": str(bank.key),
        "sites": json.dumps(list(map(str, bank.sites))),
        "storage": storage,
        "basis": "" if basis is None else basis.fingerprint,
    }
    tensors: dict[str, Tensor] = {}
    for site in bank.sites:
        values = bank.vectors[site]
        tensors.update(
            encode_numbers(str(site), values if basis is None else basis.coefficients(site, values), storage)
        )
    tensors.update(encode_numbers(_KEYS, bank.keys, storage))
    tensors[_CONTRAST] = encode_texts([row.contrast for row in bank.rows])
    tensors[_RECORD] = encode_texts([row.record for row in bank.rows])
    tensors[_WHEN] = torch.tensor([_written(row.when) for row in bank.rows], dtype=torch.int64)
    tensors[_CHECK] = checksums(tensors, _context(about, [row.sources for row in bank.rows]))
    return tensors, about


def _context(about: Mapping[str, str], sources: Sequence[Sequence[Source]]) -> list[str]:
    header = json.dumps(about, sort_keys=True)
    return [header + json.dumps(list(map(str, row))) for row in sources]


def _rows(tensors: Mapping[str, Tensor], sources: Sequence[Sequence[Source]]) -> tuple[Row, ...]:
    whens = [None if at == _TIMELESS else _EPOCH + timedelta(microseconds=at) for at in tensors[_WHEN].tolist()]
    parts = zip(decode_texts(tensors[_CONTRAST]), decode_texts(tensors[_RECORD]), whens, sources, strict=True)
    return tuple(Row(contrast, record, when, tuple(given)) for contrast, record, when, given in parts)


def _written(when: datetime | None) -> int:
    return _TIMELESS if when is None else (when - _EPOCH) // timedelta(microseconds=1)


def _check_about(path: Path, about: Mapping[str, str], model: str) -> None:
    for name, wanted, what in (("format", FORMAT, "another version of Penchant"), ("model", model, "another model")):
        if (found := about.get(name, "none")) != wanted:
            raise StaleBankError(
                f"the bank {path.name} was made by {what} ({name} {found[:16]}, expected {wanted[:16]}): read it anew"
            )


def _basis_for(path: Path, about: Mapping[str, str], given: Basis | None) -> tuple[Basis | None, bool]:
    """The basis that a bank is written in, and whether it is the bank's own."""
    wanted = about["basis"]
    if not wanted:
        return None, False
    if given is not None and given.fingerprint == wanted:
        return given, False
    try:
        tensors, _, own = read_rows(own_basis_path(path))
        found = Basis({Site.parse(name): axes[0].float() for name, axes in tensors.items()}, own["model"])
        if found.fingerprint == wanted:
            return found, True
    except (FileNotFoundError, StoreError, KeyError, InputError):
        pass  # reported below: no basis of that name, whatever the reason
    named = "none was" if given is None else f"{given.fingerprint} was"
    raise StaleBankError(
        f"the bank {path.name} is written on basis {wanted} and {named} given: give it or read it anew"
    )


def _axes(basis: Basis) -> dict[str, Tensor]:
    return {str(site): axes[None].bfloat16() for site, axes in basis.axes.items()}
