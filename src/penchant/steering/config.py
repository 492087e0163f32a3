"""Steering configurations: how a method steers one model. Chosen on other users, stored in a file, used with any user's
bank.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from penchant.errors import InputError, StoreError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site
from penchant.steering.apply.aggregation import Aggregate, Aggregation, aggregate
from penchant.steering.choices import Similarity
from penchant.steering.storage.bank import Bank, Basis, KeySite, Reading
from penchant.store.erasure.lineage import KEY, Source

FORMAT = "1"
_KEYS = "keys"


@dataclass(frozen=True)
class Effect:
    """The effect of one choice on held-out answers of other users. gain: nats per token, mean over users; error: its
    standard error. part: "population" (its vector alone) or "own" (the users' vectors).
    """

    layer: int
    strength: float
    part: str
    aggregation: str
    gain: float
    error: float


@dataclass(frozen=True)
class SteeringConfig:
    """method: its name; model: its fingerprint. scope: see `prompt_tail`. strength: factor for aggregated vectors.
    base: site -> [width], added for every user, where gradients are taken ({}: nothing). population: site -> [width],
    the vectors that users' rows are compared with ({}: zero). centre: [width of keys], the mean of all inputs' keys.
    caps: site -> longest vector that is added. effects: everything that was tried. users, pairs: how many it was fitted
    on. similarity: how samples and requests are compared. basis: the basis of "low-rank" banks (None: the file is from
    an earlier version).
    """

    method: str
    model: str
    model_name: str
    reading: Reading
    sites: tuple[Site, ...]
    key: KeySite
    scope: str
    strength: float
    aggregation: Aggregation
    centre: Float[Tensor, " width"]
    caps: Mapping[Site, float]
    base: Mapping[Site, Float[Tensor, " _"]] = field(default_factory=dict)
    population: Mapping[Site, Float[Tensor, " _"]] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    users: int = 0
    pairs: int = 0
    similarity: Similarity = "hidden"
    basis: Basis | None = None

    @cached_property
    def origin(self) -> str:
        """The origin of a bank's rows: the model, and for gradients also the scope and the base."""
        if not self.base and self.reading != "gradient":
            return self.model
        state = hashlib.sha256(self.scope.encode())
        for site, vector in sorted(self.base.items()):
            state.update(str(site).encode() + vector.contiguous().float().numpy().tobytes())
        return f"{self.model}+{state.hexdigest()[:16]}"

    def base_intervention(self) -> Intervention | None:
        """The base alone, one row; None without one."""
        edits = {site: Edit(vector[None]) for site, vector in self.base.items()}
        return Intervention(edits, self.scope) if edits else None

    def apply(
        self, banks: Sequence[Bank], scores: Sequence[Float[Tensor, " _"]], now: datetime | None = None
    ) -> tuple[Intervention, Aggregate]:
        """Return the intervention for a batch of requests, one row each, and the aggregate it is made from.

        Raises `InputError` for a bank of another origin.
        """
        for bank in banks:
            if bank.model != self.origin or bank.sites != self.sites:
                raise InputError(
                    f"a bank that wasn't read for this configuration of {self.method}: fit the user's steering again"
                )
        population = {site: vector[None].expand(len(banks), -1) for site, vector in self.population.items()}
        made = aggregate(banks, scores, self.aggregation, population=population or None, now=now)
        return self.around(made.vectors), made

    def common(self, rows: int = 1) -> Intervention:
        """Return the intervention for a user without samples: the base and the population's vectors."""
        vectors = {site: (vector * self.aggregation.pop_share)[None] for site, vector in self.population.items()}
        return self.around(vectors).take([0] * rows)

    def around(self, vectors: Mapping[Site, Float[Tensor, "rows _"]]) -> Intervention:
        """Multiply vectors [rows, width] by the strength, limit their length to the caps, and add the base."""
        edits = {}
        rows = next((len(tensor) for tensor in vectors.values()), 1)
        for site in self.sites:
            written = vectors[site] * self.strength if site in vectors else None
            if site in self.base:
                base = self.base[site][None].expand(rows, -1)
                written = base if written is None else base + written
            if written is not None:
                norms = written.norm(dim=1, keepdim=True).clamp(min=1e-12)
                edits[site] = Edit(written * (self.caps[site] / norms).clamp(max=1.0))
        return Intervention(edits, self.scope)

    def to_bytes(self, sources: Iterable[Source] = ()) -> bytes:
        """Return the configuration as a safetensors file. sources: what it is derived from, for a file in a user's
        folder: erasing any of them removes it as a whole (store/erasure/lineage.py).
        """
        tensors = {"centre": self.centre}
        tensors |= {f"base {site}": vector for site, vector in self.base.items()}
        tensors |= {f"population {site}": vector for site, vector in self.population.items()}
        if self.basis is not None:
            tensors |= {f"axes {site}": axes.bfloat16() for site, axes in self.basis.axes.items()}
            tensors[_KEYS] = self.basis.keys.bfloat16()
        tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        plain = ("method", "model", "model_name", "reading", "scope", "strength", "users", "pairs", "similarity")
        about: dict[str, Any] = {name: getattr(self, name) for name in plain}
        about |= {"key": str(self.key), "sites": list(map(str, self.sites)), "aggregation": asdict(self.aggregation)}
        about |= {"caps": {str(site): cap for site, cap in self.caps.items()}}
        about |= {"effects": [asdict(effect) for effect in self.effects]}
        header = {"format": FORMAT, "setting": json.dumps(about)}
        if written := sorted(map(str, sources)):
            header[KEY] = json.dumps([written])
        return save(tensors, header)


def config_name(method: str, model: str) -> str:
    """Return the file name of a method's configuration for a model (fingerprint)."""
    return f"steering-{method}-{model[:16]}.safetensors"


def read_config(path: Path, method: str, model: str, again: str = "fit again") -> SteeringConfig | None:
    """Read the configuration in a file; None if there is none for this method, model and format. again:
    what makes another one, for the message. Raises `StoreError` for a damaged file.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            written = dict(file.metadata() or {})
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if written["format"] != FORMAT:
            return None
        about: dict[str, Any] = json.loads(written["setting"])
        if (about["method"], about["model"]) != (method, model):
            return None
        parts: dict[str, dict[Site, Tensor]] = {"base": {}, "population": {}, "axes": {}}
        for name, tensor in tensors.items():
            part, _, site = name.partition(" ")
            if site:
                parts[part][Site.parse(site)] = tensor.float()
        about["sites"] = tuple(Site.parse(str(site)) for site in about["sites"])
        about["key"] = KeySite.parse(about["key"])
        about["aggregation"] = Aggregation(**about["aggregation"])
        about["caps"] = {Site.parse(site): cap for site, cap in about["caps"].items()}
        about["effects"] = tuple(Effect(**effect) for effect in about["effects"])
        centre, axes = tensors["centre"], parts["axes"]
        basis = Basis(axes, tensors[_KEYS].float(), centre) if axes else None
        return SteeringConfig(**about, centre=centre, base=parts["base"], population=parts["population"], basis=basis)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"the configuration {path} is damaged ({error}): remove it and {again}") from error
