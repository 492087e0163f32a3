"""Stores rows as columns, so that a results file can contain every item's score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from penchant_lab.bench.rows import Row

DIGITS = 5
"""Significant digits that are kept of a float."""

_DEFAULTS = {one.name: one.default for one in fields(Row)}
_METRIC = "metrics."


def rounded(value: Any) -> Any:
    """Floats of any JSON document to `DIGITS` significant digits; one that isn't finite becomes None."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    return value


def to_columns(rows: Sequence[Row]) -> dict[str, Any]:
    """{"count", "columns": {field: values}}, ready for JSON.

    Columns with only default values are left out; text is {"of": the different ones, "at": [rows]}; a metric has the
    column "metrics.NAME", None where a row hasn't got it.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    columns: dict[str, Any] = {}
    for field, default in _DEFAULTS.items():
        if field == "metrics":
            columns |= {_METRIC + name: rounded([row.metrics.get(name) for row in rows]) for name in names}
            continue
        values = rounded([getattr(row, field) for row in rows])
        if default is not MISSING and all(value == default for value in values):
            continue
        columns[field] = _coded(values) if any(isinstance(value, str) for value in values) else values
    return {"count": len(rows), "columns": columns}


def _coded(values: list[Any]) -> dict[str, Any]:
    positions: dict[Any, int] = {}
    at = [positions.setdefault(value, len(positions)) for value in values]
    return {"of": list(positions), "at": at}
