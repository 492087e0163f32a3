"""How numbers and texts of a bank's rows become tensors of a file: row by row, so that rows can be taken out."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from penchant.errors import InputError, StoreError

Storage = Literal["bfloat16", "int8", "low-rank"]
SCALE = ".scale"
_PAD = 0xFF  # no byte of UTF-8
_TEXT_STEP = 16
_BITS = 13  # of the largest coefficient of a row


def quantize(name: str, values: Float[Tensor, "rows width"], storage: Storage) -> dict[str, Tensor]:
    """bfloat16, or int8 with the row's largest magnitude at 127 (its scale, float32 [rows], under name.scale), or
    ("low-rank", of coefficients) int16 in steps of a power of two, so that a second trip changes nothing."""
    if storage not in ("bfloat16", "int8", "low-rank"):
        raise InputError(f"storage {storage!r}: expected bfloat16, int8 or low-rank")
    if storage == "bfloat16":
        return {name: values.bfloat16()}
    if storage == "low-rank":
        largest = values.abs().amax(1) if values.shape[1] else torch.zeros(len(values))
        # Where the next power of two begins lies between two steps: rounding errors don't change a row's scale.
        _, exponents = torch.frexp(largest * (1 - 3 * 2.0 ** -(_BITS + 1)))
        scale = torch.ldexp(torch.ones(len(values)), exponents - _BITS)
        return {name: (values / scale[:, None]).round().to(torch.int16), name + SCALE: scale}
    scale = values.abs().amax(1) / 127 if values.shape[1] else torch.zeros(len(values))
    steps = values / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]
    return {name: steps.round().clamp(-127, 127).to(torch.int8), name + SCALE: scale}


def dequantize(name: str, tensors: Mapping[str, Tensor]) -> Float[Tensor, "rows width"]:
    """What `quantize` wrote, in float32."""
    values = tensors[name].float()
    return values * tensors[name + SCALE][:, None] if name + SCALE in tensors else values


def encode_texts(texts: Sequence[str]) -> UInt8[Tensor, "rows bytes"]:
    """UTF-8, filled up with bytes that aren't."""
    raw = [np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8) for text in texts]
    longest = max(map(len, raw), default=0)
    table = np.full((len(raw), -(-longest // _TEXT_STEP) * _TEXT_STEP), _PAD, dtype=np.uint8)
    for row, text in zip(table, raw, strict=True):
        row[: len(text)] = text
    return torch.from_numpy(table)


def decode_texts(table: UInt8[Tensor, "rows bytes"]) -> list[str]:
    """What `encode_texts` wrote. Raises `ValueError` for other bytes."""
    return [row[row != _PAD].tobytes().decode("utf-8", "surrogatepass") for row in table.numpy()]


def checksums(tensors: Mapping[str, Tensor], context: Sequence[str]) -> Int[Tensor, " rows"]:
    """CRC-32 of every row of all tensors together with its context: a damaged row shows, whichever others are there."""
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


def check_rows(tensors: Mapping[str, Tensor], context: Sequence[str], written: Tensor, name: str) -> None:
    """Raises `StoreError` naming the file when a row isn't what was written."""
    if not torch.equal(checksums(tensors, context), written):
        raise StoreError(f"the bank {name} is damaged (a checksum doesn't fit): remove it and read the bank anew")
