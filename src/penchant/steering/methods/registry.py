"""Methods that steer by vectors, by name. A built-in one is a line here; a package adds one through the entry points
`penchant.steering`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from penchant.extensions import Registry

if TYPE_CHECKING:
    from penchant.steering.methods.method import VectorMethod

DEFAULT_METHOD = "ascent"
EMPHASIS: Literal["emphasis"] = "emphasis"
"""The user-facing name of attention bias as a method."""

VECTOR_METHODS: Registry[VectorMethod] = Registry(
    "steering method",
    "penchant.steering",
    {
        "ascent": "penchant.steering.methods.likelihood_gradient:LIKELIHOOD_GRADIENT",
        "fints": "penchant.steering.methods.fints:FINTS",
        "fints-prompt": "penchant.steering.methods.fints:FINTS_PROMPT",
        "caa": "penchant.steering.methods.caa:CAA",
        "user-mean": "penchant.steering.methods.user_mean:USER_MEAN",
    },
    expects="penchant.steering.methods.method:VectorMethod",
)


def vector_method(name: str) -> VectorMethod:
    """Return the method `name`. Raises `InputError` for an unknown one."""
    return VECTOR_METHODS.find(name)
