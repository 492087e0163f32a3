"""The parts of the speed benchmark by name, each imported when it is measured."""

from __future__ import annotations

PARTS = {
    "A": "penchant_lab.speed.comparison:measure",
    "B": "penchant_lab.speed.large:measure",
    "C": "penchant_lab.speed.ingestion:measure",
    "D": "penchant_lab.speed.where:measure",
    "E": "penchant_lab.speed.large:measure_int8",
    "F": "penchant_lab.speed.steering:measure",
    "G": "penchant_lab.speed.growth:measure",
}
DTYPES = ("bfloat16", "float32")
"""Number formats that are measured; the first one unless another is asked for."""
