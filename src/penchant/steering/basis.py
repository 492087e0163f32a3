"""A few directions per site that steering vectors are written in, so that a row costs `rank` numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.models.sites import Site
from penchant.steering.bank import Bank

RANK = 32


@dataclass(frozen=True)
class Basis:
    """axes: site -> float32 [rank, width], orthonormal but for their rounding to bfloat16. model: its fingerprint."""

    axes: Mapping[Site, Float[Tensor, "_ _"]]
    model: str

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex, 16 characters) of the axes and the model."""
        digest = hashlib.sha256(self.model.encode())
        for site in sorted(self.axes):
            digest.update(f"{site}{list(self.axes[site].shape)}".encode())
            digest.update(self.axes[site].bfloat16().view(torch.int16).contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def coefficients(self, site: Site, vectors: Float[Tensor, "rows width"]) -> Float[Tensor, "rows rank"]:
        """The nearest that the axes get to each vector. Raises `InputError` for a site without axes."""
        inverse: Tensor = torch.linalg.pinv(self._at(site, vectors.shape[1]))
        return vectors @ inverse

    def vectors(self, site: Site, coefficients: Float[Tensor, "rows rank"]) -> Float[Tensor, "rows width"]:
        """The vectors that have these coefficients."""
        return coefficients @ self._at(site)

    def _at(self, site: Site, width: int | None = None) -> Tensor:
        axes = self.axes.get(site)
        if axes is None or (width is not None and axes.shape[1] != width):
            raise InputError(f"the basis {self.fingerprint} has no axes for {site}: expected one of the same sites")
        return axes


def basis_of(banks: Sequence[Bank], rank: int = RANK) -> Basis:
    """The directions that carry most of the banks' vectors: of each site the first `rank` right singular vectors.

    It is derived from all of the banks' users. One that is to outlive any of them has to be made of others' banks.
    Raises `InputError` for banks without rows, of different models or sites, or a rank below 1.
    """
    if rank < 1 or not any(len(bank) for bank in banks):
        raise InputError(f"a basis of rank {rank} from {sum(map(len, banks))} rows: expected at least 1 of each")
    if len({(bank.model, bank.sites) for bank in banks}) > 1:
        raise InputError("a basis from banks of different models or sites: expected the same")
    axes = {}
    for site in banks[0].sites:
        rows = torch.cat([bank.vectors[site] for bank in banks])
        _, _, directions = torch.linalg.svd(rows, full_matrices=False)
        axes[site] = directions[:rank].contiguous().bfloat16().float()
    return Basis(axes, banks[0].model)
