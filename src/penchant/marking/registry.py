"""Markers by name. A built-in one is a line here; a package adds one through the entry points `penchant.markers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penchant.extensions import Registry

if TYPE_CHECKING:
    from penchant.marking.marks import Marker
    from penchant.marking.resources import Resources

DEFAULT_MARKER = "fusion"

MARKERS: Registry[Callable[[Resources], Marker]] = Registry(
    "marker",
    "penchant.markers",
    {
        "fusion": "penchant.marking.fusion:fused",
        "attention": "penchant.marking.attention:make",
        "attn-gs": "penchant.marking.attn_gs:make",
        "bm25": "penchant.marking.bm25:make",
        "dense": "penchant.marking.dense:make",
        "recency": "penchant.marking.recency:make",
        "random": "penchant.marking.random:make",
    },
)


def make_marker(name: str, resources: Resources) -> Marker:
    """Make the marker `name`. Raises `InputError` for an unknown name, and `ModelError` if the model lacks something it
    needs.
    """
    return MARKERS.find(name)(resources)
