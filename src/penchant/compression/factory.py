"""The type of entry points in the group `penchant.compressors`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penchant.compression.profile import Compressor
from penchant.options import Options

if TYPE_CHECKING:
    from penchant.marking.resources import Resources


@dataclass(frozen=True)
class CompressorFactory:
    """How a compressor is made. about: one line for the documentation. make: (resources, options) -> compressor.
    options: the class of its options.
    """

    about: str

    make: Callable[[Resources, Any], Compressor]
    options: type[Options] = Options
