"""A bank on disk: rows of a .safetensors file with the sources of each (store/erasure/lineage.py).

A file depends only on its rows, so that removing rows leaves exactly the file that the others alone would give.
Low-rank rows are written in a basis that is stored elsewhere (`SteeringConfig.basis`): without it, the bank is stale.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import save
from torch import Tensor

from penchant.errors import InputError, StoreError
from penchant.inference.sites import Site
from penchant.steering.choices import Storage
from penchant.steering.storage.bank import Bank, Basis, KeySite, Reading, Row
from penchant.store.erasure.lineage import KEY, Source, Still, read_rows, save_rows

FORMAT = "1"
AREA = "banks"
SCALE = ".scale"
_BITS = 13  # relative to the largest coefficient of a row
_CHECK, _KEYS, _CONTRAST, _RECORD, _WHEN = "check", "keys", "contrast", "record", "when"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAD = 0xFF  # never occurs in UTF-8
_TEXT_STEP = 16
_TIMELESS = torch.iinfo(torch.int64).min


class StaleBankError(InputError):
    """There is no usable bank: none at all, or one of another model, format or basis. Read it again."""


def bank_path(folder: Path, identity: str) -> Path:
    """Return the path of a bank. folder: `Store.user_dir(AREA, user)`; identity: see `Bank.identity`."""
    return folder / f"{identity}.safetensors"


def save_bank(
    path: Path,
    bank: Bank,
    storage: Storage = "bfloat16",
    *,
    basis: Basis | None = None,
    still: Still | None = None,
) -> list[bool]:
    """Write a bank, atomically. Returns which rows were written; see `still` in store/erasure/lineage.py.

    basis: the basis of "low-rank" vectors and keys, shared by all users; reading needs the same one. Raises
    `InputError` for an unknown storage, or a basis that is missing or of other sites; `StoreError` if the file can't be
    written.
    """
    tensors, about = _encoded(bank, storage, basis)
    return save_rows(path, tensors, [row.sources for row in bank.rows], about, still)


def load_bank(path: Path, model: str, *, basis: Basis | None = None, storage: Storage | None = None) -> Bank:
    """Load the bank at `path`, in float32. model: fingerprint of the model in use. basis: the one it was saved with.
    storage: how its numbers have to be stored (None: in any way).

    Raises `StaleBankError` (read it anew) for none, or one of another model, format, basis or storage, and `StoreError`
    for damage.
    """
    try:
        tensors, sources, about = read_rows(path)
    except FileNotFoundError:
        raise StaleBankError(f"there is no bank {path.name}: expected one; read the user's contrasts first") from None
    _check_about(path, about, model, storage)
    try:
        _check_rows(tensors, _context(about, sources), tensors.pop(_CHECK), path.name)
        used = _basis_for(path, about, basis)
        sites = [Site.parse(name) for name in json.loads(about["sites"])]
        vectors = {site: dequantize(str(site), tensors) for site in sites}
        reading: Reading = about["reading"]  # type: ignore[assignment]  # as written, by the checksums
        key = KeySite.parse(about["key"])
        bank = Bank(vectors, dequantize(_KEYS, tensors), _rows(tensors, sources), model, reading, key)
        return bank if used is None else used.vectors(bank)
    except StaleBankError:
        raise
    except (KeyError, ValueError, RuntimeError, OverflowError) as error:  # InputError is a ValueError
        raise StoreError(f"the bank {path.name} is damaged ({error}): remove it and read the bank anew") from error


def bank_bytes(bank: Bank, storage: Storage = "bfloat16", *, basis: Basis | None = None) -> int:
    """Return the size of the bank's file in bytes, without the basis, which all users share. Raises as `save_bank`."""
    tensors, about = _encoded(bank, storage, basis)
    header = {**about, KEY: json.dumps([list(map(str, row.sources)) for row in bank.rows])}
    return len(save({name: tensor.contiguous() for name, tensor in tensors.items()}, header))


def quantize(name: str, values: Float[Tensor, "rows width"], storage: Storage) -> dict[str, Tensor]:
    """Quantize tensors: to bfloat16, or to int8 with the row's largest magnitude at 127 (its scale, float32 [rows],
    under name.scale), or ("low-rank", for coefficients) to int16 in steps of a power of two, so that a second round
    trip changes nothing.
    """
    if storage not in ("bfloat16", "int8", "low-rank"):
        raise InputError(f"storage {storage!r}: expected bfloat16, int8 or low-rank")
    if storage == "bfloat16":
        return {name: values.bfloat16()}
    if storage == "low-rank":
        largest = values.abs().amax(1) if values.shape[1] else torch.zeros(len(values))
        # The threshold of the next power of two is between two steps, so that rounding errors don't change a row's
        # scale.
        _, exponents = torch.frexp(largest * (1 - 3 * 2.0 ** -(_BITS + 1)))
        scale = torch.ldexp(torch.ones(len(values)), exponents - _BITS)
        return {name: (values / scale[:, None]).round().to(torch.int16), name + SCALE: scale}
    scale = values.abs().amax(1) / 127 if values.shape[1] else torch.zeros(len(values))
    steps = values / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]
    return {name: steps.round().clamp(-127, 127).to(torch.int8), name + SCALE: scale}


def dequantize(name: str, tensors: Mapping[str, Tensor]) -> Float[Tensor, "rows width"]:
    """Return tensors from `quantize` in float32."""
    values = tensors[name].float()
    return values * tensors[name + SCALE][:, None] if name + SCALE in tensors else values


def _encoded(bank: Bank, storage: Storage, basis: Basis | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    if storage == "low-rank" and basis is None:
        raise InputError("low-rank vectors without a basis: expected the one to write them in")
    about = {
        "format": FORMAT,
        "model": bank.model,
        "reading": bank.reading,
        "key": str(bank.key),
        "sites": json.dumps(list(map(str, bank.sites))),
        "storage": storage,
        "basis": "",
    }
    written = bank
    if storage == "low-rank" and basis is not None:
        about["basis"], written = basis.fingerprint, basis.coefficients(bank)
    tensors: dict[str, Tensor] = {}
    for site in bank.sites:
        tensors.update(quantize(str(site), written.vectors[site], storage))
    tensors.update(quantize(_KEYS, written.keys, storage))
    tensors[_CONTRAST] = _encode_texts([row.contrast for row in bank.rows])
    tensors[_RECORD] = _encode_texts([row.record for row in bank.rows])
    tensors[_WHEN] = torch.tensor([_written(row.when) for row in bank.rows], dtype=torch.int64)
    tensors[_CHECK] = _checksums(tensors, _context(about, [row.sources for row in bank.rows]))
    return tensors, about


def _context(about: Mapping[str, str], sources: Sequence[Sequence[Source]]) -> list[str]:
    header = json.dumps(about, sort_keys=True)
    return [header + json.dumps(list(map(str, row))) for row in sources]


def _rows(tensors: Mapping[str, Tensor], sources: Sequence[Sequence[Source]]) -> tuple[Row, ...]:
    whens = [None if at == _TIMELESS else _EPOCH + timedelta(microseconds=at) for at in tensors[_WHEN].tolist()]
    parts = zip(_decode_texts(tensors[_CONTRAST]), _decode_texts(tensors[_RECORD]), whens, sources, strict=True)
    return tuple(Row(contrast, record, when, tuple(given)) for contrast, record, when, given in parts)


def _written(when: datetime | None) -> int:
    return _TIMELESS if when is None else (when - _EPOCH) // timedelta(microseconds=1)


def _check_about(path: Path, about: Mapping[str, str], model: str, storage: Storage | None) -> None:
    for name, wanted, maker in (
        ("format", FORMAT, "another version of Penchant"),
        ("model", model, "another model"),
        ("storage", storage, "another fit"),
    ):
        if wanted is not None and (found := about.get(name, "none")) != wanted:
            raise StaleBankError(
                f"the bank {path.name} was made by {maker} ({name} {found[:16]}, expected {wanted[:16]}): read it anew"
            )


def _basis_for(path: Path, about: Mapping[str, str], given: Basis | None) -> Basis | None:
    """Return the basis that a bank is written in; None for none."""
    wanted = about["basis"]
    if not wanted:
        return None
    if given is not None and given.fingerprint == wanted:
        return given
    named = "none was" if given is None else f"{given.fingerprint} was"
    raise StaleBankError(
        f"the bank {path.name} is written on basis {wanted} and {named} given: give it or read it anew"
    )


def _encode_texts(texts: Sequence[str]) -> UInt8[Tensor, "rows bytes"]:
    """Encode texts as UTF-8, padded with bytes that never occur in it."""
    raw = [np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8) for text in texts]
    longest = max(map(len, raw), default=0)
    table = np.full((len(raw), -(-longest // _TEXT_STEP) * _TEXT_STEP), _PAD, dtype=np.uint8)
    for row, text in zip(table, raw, strict=True):
        row[: len(text)] = text
    return torch.from_numpy(table)


def _decode_texts(table: UInt8[Tensor, "rows bytes"]) -> list[str]:
    """Decode texts from `_encode_texts`. Raises `ValueError` for other bytes."""
    return [row[row != _PAD].tobytes().decode("utf-8", "surrogatepass") for row in table.numpy()]


def _checksums(tensors: Mapping[str, Tensor], context: Sequence[str]) -> Int[Tensor, " rows"]:
    """Return the CRC-32 of every row of all tensors together with its context: detects damaged rows independently of
    the others.
    """
    columns = [
        tensors[name].contiguous().view(torch.uint8).numpy() for name in sorted(tensors) if tensors[name].numel()
    ]
    flat = [column.reshape(len(context), -1) for column in columns]
    sums = []
    for row, text in enumerate(context):
        value = zlib.crc32(text.encode())
        for column in flat:
            value = zlib.crc32(column[row].tobytes(), value)
        sums.append(value)
    return torch.tensor(sums, dtype=torch.int64)


def _check_rows(tensors: Mapping[str, Tensor], context: Sequence[str], written: Tensor, name: str) -> None:
    """Raise `StoreError`, naming the file, if a row isn't what was written."""
    if not torch.equal(_checksums(tensors, context), written):
        raise StoreError(f"the bank {name} is damaged (a checksum doesn't fit): remove it and read the bank anew")
