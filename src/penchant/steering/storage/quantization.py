"""How a bank's numbers are written in fewer bytes: bfloat16, int8, or coefficients of a low-rank basis."""

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
"""Directions of a basis: so many numbers are kept of each vector and key."""
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


@dataclass(frozen=True)
class Basis:
    """axes: site -> float32 [rank, width], orthonormal but for their rounding to bfloat16. keys: [rank, width], the
    same of keys, taken from `centre` [width].

    It is part of a configuration, which is derived from several users and goes with each of them
    (`SteeringConfig.basis`)."""

    axes: Mapping[Site, Float[Tensor, "_ _"]]
    keys: Float[Tensor, "_ _"]
    centre: Float[Tensor, " _"]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex, 16 characters) of all of it: what is written in another basis means something else."""
        digest = hashlib.sha256(self.centre.contiguous().numpy().tobytes())
        for name, table in (*sorted(self.axes.items()), ("keys", self.keys)):
            digest.update(f"{name}{list(table.shape)}".encode())
            digest.update(table.bfloat16().view(torch.int16).contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def coefficients(self, bank: Bank) -> Bank:
        """The bank with [rows, rank] in place of vectors and keys: the nearest that the axes get to each. A row's don't
        depend on the others, to the bit. Raises `InputError` for a bank of other sites or widths."""
        vectors = {site: _coefficients(self._at(site, table), table) for site, table in bank.vectors.items()}
        return replace(bank, vectors=vectors, keys=_coefficients(self.keys, bank.keys - self.centre))

    def vectors(self, written: Bank) -> Bank:
        """The bank that has these coefficients."""
        vectors = {site: _combined(self._at(site), table) for site, table in written.vectors.items()}
        return replace(written, vectors=vectors, keys=_combined(self.keys, written.keys) + self.centre)

    def _at(self, site: Site, like: Tensor | None = None) -> Tensor:
        axes = self.axes.get(site)
        if axes is None or (like is not None and axes.shape[1] != like.shape[1]):
            raise InputError(f"the basis {self.fingerprint} has no axes for {site}: expected one of the same sites")
        return axes


def basis_of(banks: Sequence[Bank], centre: Float[Tensor, " width"], rank: int = RANK) -> Basis:
    """The directions that carry most of the banks' vectors, and of their keys' distance from `centre`: of each the
    first `rank` right singular vectors. It is derived from all of the banks' users.

    Raises `InputError` for banks without rows, of different models or sites, or a rank below 1.
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
    # One by one: a product of many rows rounds each as it is laid out among the others.
    found = [(inverse @ row).float() for row in rows.double()]
    return torch.stack(found) if found else torch.zeros(0, len(axes))


def _combined(axes: Tensor, rows: Float[Tensor, "rows rank"]) -> Float[Tensor, "rows _"]:
    wide = axes.double().T.contiguous()
    found = [(wide @ row).float() for row in rows.double()]
    return torch.stack(found) if found else torch.zeros(0, axes.shape[1])
