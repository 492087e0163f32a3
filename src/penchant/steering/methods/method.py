"""`VectorMethod`: where a steering method reads, what it reads, and how rows become one vector."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.inference.sites import Kind
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.storage.bank import Reading


@dataclass(frozen=True)
class VectorMethod:
    """A method that steers by vectors. kinds: the sites it edits, all in one layer. reading: see `Reading`.
    aggregations: ways to weight rows; `steer fit` takes the one that works best for other users. layers: depths to try,
    as shares of the model's.

    strengths: multiples of a vector to try; for a gradient, whose size has no meaning, the length of the mean vector as
    a share of the residual stream's. population: whether vectors are added to the population's (gradients are then
    taken there).
    """

    name: str
    kinds: tuple[Kind, ...]
    reading: Reading
    aggregations: tuple[Aggregation, ...]
    strengths: tuple[float, ...]
    about: str
    layers: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    population: bool = False
