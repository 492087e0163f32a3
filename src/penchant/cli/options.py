"""Options that several commands have. Names come from the registries, which import none of what they name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from penchant.compression.registry import BUDGET_FLOOR, BUDGET_SHARE, COMPRESSORS
from penchant.errors import InputError
from penchant.history.segmentation import Unit
from penchant.marking.registry import MARKERS

UserOption = Annotated[
    str | None, typer.Option("--user", metavar="ID", help="A user of the store.", show_default=False)
]
HistoryOption = Annotated[
    Path | None,
    typer.Option("--history", metavar="FILE", help="A history as JSON Lines, instead of --user.", show_default=False),
]
RequestArgument = Annotated[
    str | None, typer.Argument(metavar="REQUEST", help="The question or task.", show_default=False)
]
RequestOption = Annotated[
    str | None, typer.Option("--request", metavar="TEXT", help="The same, as an option.", show_default=False)
]
TaskOption = Annotated[
    str | None, typer.Option("--task", metavar="TEXT", help="The kind of answer that is wanted.", show_default=False)
]
ModelOption = Annotated[
    str, typer.Option("--model", metavar="M", help="smollm2, gemma3-270m, a directory, a .gguf file, or a hub id.")
]
MaxTokensOption = Annotated[int, typer.Option("--max-tokens", min=1, metavar="N", help="Longest answer, in tokens.")]
MarkerOption = Annotated[str, typer.Option("--marker", metavar="NAME", help=f"One of {', '.join(MARKERS)}.")]
DatesOption = Annotated[
    bool,
    typer.Option(
        "--dates/--no-dates", help='Whether a date in the request ("last week") brings records of its time up.'
    ),
]
CompressorOption = Annotated[
    str, typer.Option("--compressor", metavar="NAME", help=f"One of {', '.join(COMPRESSORS)}.")
]
UnitOption = Annotated[
    Unit, typer.Option("--unit", help="What is marked; auto: whole records, but long ones by sentence.")
]
BudgetOption = Annotated[
    str,
    typer.Option(
        "--budget",
        metavar="N",
        help=f"Most tokens in the profile: a number, a share of the history such as 2%, or auto: "
        f"{BUDGET_SHARE}, but at least {BUDGET_FLOOR} tokens.",
    ),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0,
        metavar="T",
        help="0: the most likely answer; above 0: a sampled one. Default: the model's own settings.",
        show_default=False,
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed for sampling.", show_default=False)]


def check_temperature(temperature: float | None) -> None:
    """Raise `InputError` for infinity and NaN, which pass for numbers from 0."""
    if temperature is not None and not math.isfinite(temperature):
        raise InputError(f"--temperature {temperature}: expected a number from 0")
