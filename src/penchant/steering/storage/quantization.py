"""Quantization of a bank: bfloat16, int8, or coefficients in a low-rank basis."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.sites import Site
from penchant.steering.storage.bank import Bank

Storage = Literal["bfloat16", "int8", "low-rank"]
SCALE = ".scale"
RANK = 32
"""Directions in a basis: how many numbers are kept of each vector and key."""
_BITS = 13  # relative to the largest coefficient of a row


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


@dataclass(frozen=True)
class Basis:
    """A low-rank basis. axes: site -> float32 [rank, width], orthonormal up to their rounding to bfloat16. keys: [rank,
    width], the same for keys, relative to `centre` [width].

    It is part of a configuration, which is derived from several users and erased with any of them
    (`SteeringConfig.basis`).
    """

    axes: Mapping[Site, Float[Tensor, "_ _"]]
    keys: Float[Tensor, "_ _"]
    centre: Float[Tensor, " _"]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex, 16 characters) of the whole basis: coefficients in another basis mean something else."""
        digest = hashlib.sha256(self.centre.contiguous().numpy().tobytes())
        for name, table in (*sorted(self.axes.items()), ("keys", self.keys)):
            digest.update(f"{name}{list(table.shape)}".encode())
            digest.update(table.bfloat16().view(torch.int16).contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def coefficients(self, bank: Bank) -> Bank:
        """Return the bank with coefficients [rows, rank] instead of vectors and keys: their projection on the axes.
        Each row is bitwise independent of the others. Raises `InputError` for a bank of other sites or widths.
        """
        vectors = {site: _coefficients(self._at(site, table), table) for site, table in bank.vectors.items()}
        return replace(bank, vectors=vectors, keys=_coefficients(self.keys, bank.keys - self.centre))

    def vectors(self, written: Bank) -> Bank:
        """Return the bank with these coefficients."""
        vectors = {site: _combined(self._at(site), table) for site, table in written.vectors.items()}
        return replace(written, vectors=vectors, keys=_combined(self.keys, written.keys) + self.centre)

    def _at(self, site: Site, like: Tensor | None = None) -> Tensor:
        axes = self.axes.get(site)
        if axes is None or (like is not None and axes.shape[1] != like.shape[1]):
            raise InputError(f"the basis {self.fingerprint} has no axes for {site}: expected one of the same sites")
        return axes


def basis_of(banks: Sequence[Bank], centre: Float[Tensor, " width"], rank: int = RANK) -> Basis:
    """Compute a basis: the first `rank` right singular vectors of the banks' vectors, and of their keys relative to
    `centre`. It is derived from all users of the banks.

    Raises `InputError` for banks without rows, or of different models or sites, or a rank below 1.
    """
    if rank < 1 or not any(len(bank) for bank in banks):
        raise InputError(f"a basis of rank {rank} from {sum(map(len, banks))} rows: expected at least 1 of each")
    if len({(bank.model, bank.sites) for bank in banks}) > 1:
        raise InputError("a basis from banks of different models or sites: expected the same")
    axes = {site: _directions(torch.cat([bank.vectors[site] for bank in banks]), rank) for site in banks[0].sites}
    return Basis(axes, _directions(torch.cat([bank.keys for bank in banks]) - centre, rank), centre)


def _directions(rows: Float[Tensor, "rows width"], rank: int) -> Float[Tensor, "_ width"]:
    _, _, directions = torch.linalg.svd(rows, full_matrices=False)
    axes: Tensor = directions[:rank].contiguous().bfloat16().float()
    return axes


def _coefficients(axes: Tensor, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "rows _"]:
    inverse = torch.linalg.pinv(axes.double()).T.contiguous()
    # One by one: in a product of many rows, rounding depends on the layout.
    found = [(inverse @ row).float() for row in rows.double()]
    return torch.stack(found) if found else torch.zeros(0, len(axes))


def _combined(axes: Tensor, rows: Float[Tensor, "rows rank"]) -> Float[Tensor, "rows _"]:
    wide = axes.double().T.contiguous()
    found = [(wide @ row).float() for row in rows.double()]
    return torch.stack(found) if found else torch.zeros(0, axes.shape[1])
