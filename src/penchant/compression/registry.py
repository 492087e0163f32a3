"""Compressors by name. A built-in one is a line here; a package adds one through the entry points
`penchant.compressors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from penchant.extensions import Registry
from penchant.options import Options, parse_options

if TYPE_CHECKING:
    from penchant.compression.factory import CompressorFactory
    from penchant.compression.profile import Compressor
    from penchant.marking.resources import Resources

DEFAULT_COMPRESSOR = "extractive"
DEFAULT_BUDGET = "auto"
BUDGET_SHARE = "2%"
"""The default budget of a large history."""
BUDGET_FLOOR = 300
"""The default budget of a small history, in tokens (why: benchmarks/results/floor.md)."""

COMPRESSORS: Registry[CompressorFactory] = Registry(
    "compressor",
    "penchant.compressors",
    {
        "extractive": "penchant.compression.extractive:COMPRESSOR",
        "rewriting": "penchant.compression.rewriting:COMPRESSOR",
        "remote": "penchant.compression.remote:COMPRESSOR",
    },
    expects="penchant.compression.factory:CompressorFactory",
)


def make_compressor(name: str, resources: Resources, options: Options | Mapping[str, object]) -> Compressor:
    """Make the compressor `name`. Raises `InputError` for an unknown name, an unknown option or a missing required one,
    and `ModelError` if the model lacks something it needs.
    """
    factory = COMPRESSORS.find(name)
    return factory.make(resources, parse_options(factory.options, options, f"compressor {name!r}"))
