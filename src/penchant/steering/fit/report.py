"""The report of `fit_user`, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from penchant.steering.apply.context import ValidationResult
from penchant.steering.choices import Storage
from penchant.steering.config import Effect, SteeringConfig


@dataclass(frozen=True)
class FitReport:
    """The result of `fit_user`. shared: the configuration was chosen on several users, not on this one alone. fitted:
    it was chosen now. validation: how the user is steered, and why. samples: rows of the bank; read: how many were read
    now; skipped: pairs without a row, by reason. bytes: size of the user's files. seconds: wall time.
    """

    user: str
    config: SteeringConfig
    shared: bool
    fitted: bool
    validation: ValidationResult
    samples: int
    read: int
    skipped: Mapping[str, int]
    storage: Storage
    bytes: int
    seconds: float

    @property
    def chosen(self) -> Effect | None:
        """The effect that was chosen; None: nothing that was tried had a gain."""
        part = "own" if self.config.strength else "population"
        tried = [effect for effect in self.config.effects if effect.part == part and effect.gain > 0]
        return max(tried, key=lambda effect: effect.gain, default=None)

    @property
    def gain(self) -> float | None:
        """Its gain on held-out answers of the users it was chosen on, in nats per token."""
        return None if self.chosen is None else self.chosen.gain

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        config = self.config
        about: dict[str, Any] = {"user": self.user, "method": config.method, "model": config.model_name}
        about |= {"sites": list(map(str, config.sites)), "scope": config.scope, "strength": config.strength}
        about |= {"similarity": config.similarity, "half_life": config.aggregation.half_life}
        chosen: dict[str, Any] = {
            "users": config.users,
            "pairs": config.pairs,
            "shared": self.shared,
            "fitted": self.fitted,
        }
        kept = {name: getattr(self, name) for name in ("samples", "read", "storage", "bytes", "seconds")}
        # For one user there is no standard error.
        effects: list[dict[str, Any]] = [
            {**asdict(one), "error": one.error if isfinite(one.error) else None} for one in config.effects
        ]
        chosen |= {"gain": self.gain, "effects": effects}
        return {**about, **chosen, **asdict(self.validation), **kept, "skipped": dict(self.skipped)}
