"""Detectors by name. A built-in one is a line here; a package adds one through the entry points
`penchant.detectors`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from penchant.extensions import Registry

if TYPE_CHECKING:
    from penchant.conversation.context import Detector
    from penchant.marking.resources import Resources

DEFAULT_DETECTOR = "penchant"

DETECTORS: Registry[Callable[..., Detector]] = Registry(
    "detector",
    "penchant.detectors",
    {
        "penchant": "penchant.conversation.instructions.detectors:probed",
        "patterns": "penchant.conversation.instructions.detectors:by_patterns",
        "rhea": "penchant.conversation.instructions.detectors:published",
    },
)


def make_detector(name: str, resources: Resources, options: Mapping[str, object] | None = None) -> Detector:
    """Make the detector `name`. options: its keyword-only arguments. Raises `InputError` for an unknown name or option,
    and `ModelError` if the model lacks something it needs.
    """
    from penchant.options import parse_arguments  # imports pydantic, which a list of the detectors doesn't need

    make = DETECTORS.find(name)
    return make(resources, **parse_arguments(make, options or {}, f"detector {name!r}"))
