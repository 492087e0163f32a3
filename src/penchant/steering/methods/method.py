"""What a method of steering by vectors is: where it reads, what it reads, and how rows become one vector."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.inference.sites import Kind
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.storage.bank import Reading


@dataclass(frozen=True)
class VectorMethod:
    """kinds: the sites it writes to, all in one layer. reading: see `Reading`. aggregations: ways to weigh rows, of
    which `steer fit` takes the one that does best for other users. layers: depths to try, as shares of the model's.

    strengths: multiples of a vector to try; of a gradient, whose size means nothing by itself, the length of the mean
    vector as a share of the residual stream's. population: whether vectors are added to the population's (a gradient
    is then taken there).
    """

    name: str
    kinds: tuple[Kind, ...]
    reading: Reading
    aggregations: tuple[Aggregation, ...]
    strengths: tuple[float, ...]
    about: str
    layers: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    population: bool = False
