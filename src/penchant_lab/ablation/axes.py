"""The choices that are varied, and which combinations of them are measured."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, NamedTuple

from penchant.errors import InputError

Grid = Literal["one-at-a-time", "full"]


@dataclass(frozen=True)
class AblationConfig:
    """One way to mark. The defaults are those of the shipped calibrations.

    encoding: what a record is encoded with: nothing ("record"), the records around it in blocks of 1,500 tokens
    ("blocks"), or all of the newest that fit the window ("joint").
    request: "alone": encoded by itself, its queries matched with the stored keys. "joint": read behind the record,
    block or history, in the same pass.
    readout: of the attention that a segment's tokens get from a row: its sum, mean or maximum, then the log of the mean
    over rows; or the mean of the logs.
    rows: of the request: all of them ("mean"), or the last one.
    baseline: how much of what neutral requests attend to is taken off ("0" is none).
    heads: "six", as calibrations hold them; "best": one; "sixteen"; "layer": the mean over all heads of the best layer;
    "all": the mean over every head.
    pooling: whether a segment gets a share of its neighbours' scores.
    priming: what stands before every record and request: nothing, the start of a user's "turn", or a "sentence".
    layers: the share of the layers that are run and tried: an early exit.
    """

    encoding: str = "record"
    request: str = "alone"
    readout: str = "sum"
    rows: str = "mean"
    baseline: str = "0.6"
    heads: str = "six"
    pooling: str = "on"
    priming: str = "turn"
    layers: str = "all"

    def __str__(self) -> str:
        changed = changes(self)
        return ", ".join(f"{axis} {value}" for axis, value in changed.items()) or "default"


class Encoding(NamedTuple):
    """What decides how a history is encoded."""

    priming: str
    encoding: str


class Readout(NamedTuple):
    readout: str
    rows: str


AXES: dict[str, tuple[str, ...]] = {
    "encoding": ("record", "blocks", "joint"),
    "request": ("alone", "joint"),
    "readout": ("sum", "mean", "max", "log-mean"),
    "rows": ("mean", "last"),
    "baseline": ("0.6", "1", "0"),
    "heads": ("six", "best", "sixteen", "layer", "all"),
    "pooling": ("on", "off"),
    "priming": ("turn", "sentence", "none"),
    "layers": ("all", "2/3", "1/2", "1/3"),
}
DEFAULT = AblationConfig()
#: Attn-GS, but for the layer, which is the best one here: joint pass, last row, mean over tokens and heads.
PUBLISHED = AblationConfig("joint", "joint", "mean", "last", "0", "layer", "off", "turn", "all")


def changes(setting: AblationConfig) -> dict[str, str]:
    """Axis -> value, where it isn't the default."""
    default = asdict(DEFAULT)
    return {axis: value for axis, value in asdict(setting).items() if value != default[axis]}


def readout_of(setting: AblationConfig) -> Readout:
    return Readout(setting.readout, setting.rows)


def check_axes(axes: Sequence[str]) -> None:
    """Raise `InputError` for an axis that there isn't, or none."""
    if not axes:
        raise InputError(f"no axes: expected some of {', '.join(AXES)}")
    for axis in axes:
        if axis not in AXES:
            raise InputError(f"no axis {axis!r}: expected some of {', '.join(AXES)}")


def settings(grid: Grid, axes: Sequence[str] = tuple(AXES)) -> list[AblationConfig]:
    """The settings of a grid, the default first.

    "one-at-a-time": every value of every axis with all else at its default, every pair of encoding and request (they
    decide together what sees what), and the published marker where all axes are varied. "full": every combination.
    """
    check_axes(axes)
    if grid == "full":
        chosen = [axis for axis in AXES if axis in axes]
        found = [
            replace(DEFAULT, **dict(zip(chosen, values, strict=True)))
            for values in itertools.product(*(AXES[axis] for axis in chosen))
        ]
    else:
        found = [DEFAULT]
        if "encoding" in axes and "request" in axes:
            found += [replace(DEFAULT, encoding=e, request=r) for e in AXES["encoding"] for r in AXES["request"]]
        found += [replace(DEFAULT, **{axis: value}) for axis in AXES if axis in axes for value in AXES[axis]]
        if set(axes) >= {field.name for field in fields(AblationConfig)}:
            found.append(PUBLISHED)
    return list(dict.fromkeys(found))


def is_costly(encoding: str, request: str) -> bool:
    """Whether the whole request is fed behind every single record."""
    return encoding == "record" and request == "joint"


def by_encoding(found: Sequence[AblationConfig]) -> list[tuple[Encoding, dict[str, list[AblationConfig]]]]:
    """What shares the encoding of a history: (priming, encoding), request -> its settings. The default's comes first;
    what is costly comes last and by itself."""
    groups: dict[tuple[Encoding, bool], dict[str, list[AblationConfig]]] = {}
    for setting in found:
        key = Encoding(setting.priming, setting.encoding), is_costly(setting.encoding, setting.request)
        groups.setdefault(key, {}).setdefault(setting.request, []).append(setting)
    return [(encoding, groups[encoding, costly]) for encoding, costly in sorted(groups, key=lambda key: key[1])]
