"""`penchant bench ablate`: the effect of each choice in marking by attention."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import Progress, TimeRemainingColumn

from penchant.cli.options import ModelOption
from penchant.cli.output import JsonOption, emit, stderr
from penchant.cli.streams import stdout
from penchant.errors import InputError
from penchant.lens.plot import check_plot
from penchant_lab.ablation.axes import AXES, check_axes
from penchant_lab.ablation.report import markdown, write_ablation
from penchant_lab.ablation.run import AblationOptions, run_ablation
from penchant_lab.bench.results import make_folder


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
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda, mps. Default: the best.", show_default=False)
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="Default: the device's.", show_default=False)] = None,
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
            device=device,
            dtype=dtype,
            command=_command(ctx.params),
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
    try:
        return write_ablation(document, out)
    except OSError as error:
        raise InputError(f"can't write to {out} ({error.strerror}): name another folder with --out") from error


def _command(params: Mapping[str, Any]) -> str:
    """Return the command for the results: file names instead of paths, without the output folder."""
    words = ["penchant", "bench", "ablate"]
    for name, value in params.items():
        if name in ("as_json", "out") or value is None:
            continue
        shown = Path(value).name if isinstance(value, Path) or name == "model" else str(value)
        words += [f"--{name.replace('_', '-')}", shown]
    return shlex.join(words)
