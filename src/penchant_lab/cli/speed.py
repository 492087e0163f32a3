"""`penchant bench speed`: time and memory of marking, compared with other ways to read a history."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from penchant.cli.options import ModelOption
from penchant.cli.output import JsonOption, emit, stderr
from penchant.cli.streams import stdout
from penchant.models.model_name import ModelName
from penchant_lab.bench.results import check_folder
from penchant_lab.cli.published import command_line
from penchant_lab.speed.parts import DTYPES, PARTS


def speed(
    ctx: typer.Context,
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for speed.json, speed.md, speed-growth.svg.")
    ],
    parts: Annotated[
        str,
        typer.Option(
            "--parts",
            help="A: a request and other methods, B: large histories, C: ingestion, D: where time goes, E: B in int8, "
            "F: steering, distinct users in one batch, G: a conversation that grows.",
        ),
    ] = ",".join(PARTS),
    model: ModelOption = "smollm2",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of torch. Default: all cores.", show_default=False)
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration", metavar="FILE", help="A calibration file. Default: the model's own.", show_default=False
        ),
    ] = None,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            "--memory-gb",
            min=0.1,
            help="Most memory for one measurement. Default: 75% of the machine's.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A few runs at small sizes, to check that everything works; not a measurement."),
    ] = False,
    peers: Annotated[
        Path | None,
        typer.Option("--peers", metavar="DIR", help="Adapters of peers. Default: the lab's.", show_default=False),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again the parts that already have results.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure seconds, tokens fed and memory of marking on the sample histories, on the CPU.

    Takes about half an hour on two cores; run it on an idle machine. If it is stopped, finished parts are kept.
    """
    check_folder(out)
    from penchant_lab.speed.report import markdown
    from penchant_lab.speed.run import SpeedOptions, run_speed

    def say(text: str) -> None:
        stderr.print(f"[dim]{datetime.datetime.now():%H:%M:%S}[/] {text}", highlight=False)

    options = SpeedOptions(
        out=out,
        parts=[part.strip().upper() for part in parts.split(",")],
        threads=threads,
        dtype=ModelName.of(model).dtype or DTYPES[0],
        model=model,
        calibration=calibration,
        memory=None if memory_gb is None else int(memory_gb * 1e9),
        quick=quick,
        fresh=fresh,
        peers=peers,
        command=command_line("bench speed", ctx.params),
        say=say,
    )
    document = run_speed(options)

    def show() -> None:
        stdout().write(markdown(document))
        stderr.print(f"[dim]{out / 'speed.json'}, {out / 'speed.md'}[/]", highlight=False)

    emit(document, as_json, show)
