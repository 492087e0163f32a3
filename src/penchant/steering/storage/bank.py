"""A bank: a user's steering vectors, one set per contrast. Rows are independent: dropping some doesn't change the
others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.sites import Site
from penchant.steering.choices import RANK
from penchant.steering.data.contrast import Sample
from penchant.store.erasure.lineage import Source, source_of

Reading = Literal["answer_mean", "prompt_last", "gradient"]
"""What a vector is. answer_mean: the mean over the chosen answer's tokens minus that over the rejected one's, behind
the same prompt. prompt_last: the last token of a prompt with the user's own items minus that of one with others'.
gradient: of the chosen answer's log likelihood (`likelihood_gradients`)."""

Pooling = Literal["mean", "last"]


@dataclass(frozen=True)
class KeySite:
    """The site at which inputs are read for comparison, and the pooling of their tokens: mean or last."""

    site: Site
    pooling: Pooling = "mean"

    def __str__(self) -> str:
        return f"{self.site} {self.pooling}"

    @classmethod
    def parse(cls, text: str) -> KeySite:
        """Parse a key site such as "15.block mean". Raises `InputError`."""
        site, _, pooling = text.partition(" ")
        if pooling not in ("mean", "last"):
            raise InputError(f"key site {text!r}: expected a site and mean or last: 15.block mean")
        return cls(Site.parse(site), pooling)  # type: ignore[arg-type]  # checked by the line above


@dataclass(frozen=True)
class Row:
    """The origin of a bank's row. contrast: the sample's id; record: id of its record ("": feedback). when: the
    record's time.

    sources: the record and the donors of the rejected answer, as hashes: the row is erased with any of them.
    """

    contrast: str
    record: str = ""
    when: datetime | None = None
    sources: tuple[Source, ...] = ()

    @classmethod
    def of(cls, user: str, sample: Sample) -> Row:
        """Make the row of a user's sample."""
        own = [source_of(user, sample.record)] if sample.record else []
        donors = [Source(*donor) for donor in sample.donors]
        when = sample.when
        if when is not None:
            when = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
        return cls(sample.id, sample.record, when, tuple(sorted({*own, *donors})))


@dataclass(frozen=True)
class Bank:
    """A user's vectors. vectors: site -> float32 [rows, width of the site]. keys: float32 [rows, width of the key
    site], of the inputs.

    model: fingerprint of the model that was read, and of the intervention meanwhile (`SteeringConfig.origin`).

    Raises `InputError` for different numbers of rows, a repeated contrast, or numbers that aren't finite.
    """

    vectors: Mapping[Site, Float[Tensor, "_ _"]]
    keys: Float[Tensor, "_ _"]
    rows: tuple[Row, ...]
    model: str
    reading: Reading
    key: KeySite

    def __post_init__(self) -> None:
        for name, tensor in (*self.vectors.items(), ("keys", self.keys)):
            if tensor.shape[0] != len(self.rows):
                raise InputError(f"{tensor.shape[0]} rows at {name} for {len(self.rows)} contrasts: expected one each")
            if not bool(tensor.isfinite().all()):
                raise InputError(f"vectors at {name} aren't finite: expected numbers; read them in float32 or bfloat16")
        if len({row.contrast for row in self.rows}) < len(self.rows):
            raise InputError("a bank with the same contrast twice: expected each once")

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        return tuple(sorted(self.vectors))

    @property
    def identity(self) -> str:
        """Return the SHA-256 (hex, 16 characters) of everything that comparable banks share: model, reading, key and
        sites.
        """
        return identity(self.model, self.reading, self.key, self.sites)

    @cached_property
    def days(self) -> npt.NDArray[np.float64]:
        """Return the days from 1970 to each row's time, NaN if it has none."""
        times = [row.when.timestamp() / 86_400 if row.when else np.nan for row in self.rows]
        return np.array(times, dtype=np.float64)

    @cached_property
    def tie_order(self) -> npt.NDArray[np.intp]:
        """Each row's rank in the order of contrast ids: breaks ties, whatever order the rows came in."""
        order = np.argsort(np.array([row.contrast for row in self.rows], dtype=str), kind="stable")
        return np.argsort(order)


def identity(model: str, reading: Reading, key: KeySite, sites: Collection[Site]) -> str:
    """See `Bank.identity`."""
    parts = [model, reading, str(key), *map(str, sorted(set(sites)))]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def drop(bank: Bank, contrasts: Collection[str]) -> Bank:
    """Return the bank without the rows of these contrasts: bitwise the same as a bank of the other rows alone."""
    remaining = [index for index, row in enumerate(bank.rows) if row.contrast not in contrasts]
    if len(remaining) == len(bank):
        return bank
    vectors = {site: tensor[remaining] for site, tensor in bank.vectors.items()}
    return replace(
        bank, vectors=vectors, keys=bank.keys[remaining], rows=tuple(bank.rows[index] for index in remaining)
    )


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
