"""`penchant bench ablate`: the effect of each choice in marking by attention."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import Progress, TimeRemainingColumn

from penchant.cli.options import ModelOption
from penchant.cli.output import JsonOption, emit, stderr
from penchant.cli.streams import stdout
from penchant.errors import InputError
from penchant.figures import check_plot
from penchant_lab.ablation.axes import AXES, check_axes
from penchant_lab.bench.results import make_folder
from penchant_lab.cli.published import command_line


def ablate(
    ctx: typer.Context,
    *,
    data: Annotated[Path, typer.Option("--data", metavar="PATH", help="The LoCoMo file, or its folder.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for ablation.json, ablation.md and a plot.")
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Questions per conversation, evenly spread.")] = 40,
    costly: Annotated[
        int, typer.Option("--costly", min=1, help="The same for variants that read the request after every record.")
    ] = 12,
    grid: Annotated[
        Literal["one-at-a-time", "full"],
        typer.Option(
            "--grid", help="Vary each choice alone, or measure every combination (of few --axes: they multiply)."
        ),
    ] = "one-at-a-time",
    axes: Annotated[str, typer.Option("--axes", help="Which choices to vary.")] = ",".join(AXES),
    model: ModelOption = "smollm2",
    as_json: JsonOption = False,
) -> None:
    """Vary how a history is marked by attention, one choice at a time, and measure the evidence found.

    For every variant, heads and weights are chosen on all conversations except the one they are scored on. Only the
    tuning half of LoCoMo is used, so that the test half stays unseen.
    """
    chosen = [axis.strip() for axis in axes.split(",") if axis.strip()]
    check_axes(chosen)
    make_folder(out)
    check_plot(out / "ablation.svg")
    from penchant_lab.ablation.report import markdown
    from penchant_lab.ablation.run import AblationOptions, run_ablation

    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("Encoding", total=None)
        said = ""

        def progress(what: str, done: int, total: int | None) -> None:
            nonlocal said
            bar.update(task, completed=done, total=total, description=what)
            if not stderr.is_terminal and what != said:  # in a log: one line per stage
                stderr.print(f"{done}/{total} {what}", highlight=False)
                said = what

        options = AblationOptions(
            data,
            limit=limit,
            costly=costly,
            model=model,
            grid=grid,
            axes=chosen,
            command=command_line("bench ablate", ctx.params),
            progress=progress,
            save=lambda document: _save(document, out),
        )
        document = run_ablation(options)
    paths = _save(document, out)

    def show() -> None:
        stdout().write(markdown(document))
        stderr.print(f"[dim]{', '.join(map(str, paths))}[/]", highlight=False)

    emit(document, as_json, show)


def _save(document: Mapping[str, Any], out: Path) -> list[Path]:
    from penchant_lab.ablation.report import write_ablation

    try:
        return write_ablation(document, out)
    except OSError as error:
        raise InputError(f"can't write to {out} ({error.strerror}): name another folder with --out") from error
