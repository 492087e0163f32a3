"""What a method of steering by vectors writes for a bank of made-up numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from penchant.inference.sites import Site
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.config import SteeringConfig
from penchant.steering.methods.method import VectorMethod
from penchant.steering.storage.bank import Bank, KeySite, Row

ROWS = 9


def setting_for(method: VectorMethod, aggregation: Aggregation, strength: float = 2.0) -> SteeringConfig:
    sites = tuple(sorted(Site(1, kind) for kind in method.kinds))
    key = KeySite(Site(2, "block"))
    caps = dict.fromkeys(sites, 1e9)
    return SteeringConfig(
        method.name, "m", "m", method.reading, sites, key, "last_1", strength, aggregation, torch.zeros(8), caps
    )


def written(method: VectorMethod, aggregation: Aggregation, scores: Tensor) -> tuple[dict[Site, Tensor], Bank]:
    """What is added at each site, and the bank that it is made of."""
    config = setting_for(method, aggregation)
    draw = torch.Generator().manual_seed(0)
    vectors = {site: torch.randn(ROWS, 8, generator=draw) for site in config.sites}
    rows = tuple(Row(f"c{n}") for n in range(ROWS))
    bank = Bank(vectors, torch.randn(ROWS, 8, generator=draw), rows, config.origin, method.reading, config.key)
    edits = config.apply([bank], [scores])[0].edits
    return {site: edit.add[0] for site, edit in edits.items() if edit.add is not None}, bank
