"""Detectors by name. A built-in one is a line here; a package adds one through the entry points
`penchant.detectors`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penchant.extensions import Registry

if TYPE_CHECKING:
    from penchant.conversation.context import Detector
    from penchant.marking.resources import Resources

DEFAULT_DETECTOR = "penchant"

DETECTORS: Registry[Callable[[Resources], Detector]] = Registry(
    "detector",
    "penchant.detectors",
    {
        "penchant": "penchant.conversation.instructions.detectors:probed",
        "patterns": "penchant.conversation.instructions.detectors:by_patterns",
        "rhea": "penchant.conversation.instructions.detectors:published",
    },
)


def make_detector(name: str, resources: Resources) -> Detector:
    """Make the detector `name`. Raises `InputError` for an unknown name, and `ModelError` if the model lacks something
    it needs.
    """
    return DETECTORS.find(name)(resources)
