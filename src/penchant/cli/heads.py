"""`penchant heads discover`: finds the retrieval heads of a model and writes its calibration file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from penchant.cli.options import ModelOption
from penchant.cli.output import JsonOption, check_file, emit, stderr, stdout_console, step_bar
from penchant.errors import InputError
from penchant.figures import check_plot
from penchant.files import check_writable, unwritable
from penchant.lens.labelled import TASKS, LabelledHistory

if TYPE_CHECKING:
    from penchant.lens.calibration import Calibration
    from penchant.models.loading import LoadedModel

NO_BETTER = 0.6
"""AUC on held-out histories below which heads are no use; shipped calibrations reach 0.9 and more."""

heads_app = typer.Typer(no_args_is_help=True, help="Find the retrieval heads of a model.")


@heads_app.callback()
def heads() -> None:
    """Find the retrieval heads of a model."""


@heads_app.command("discover")
def discover_command(
    *,
    model: ModelOption = "smollm2",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="PATH", help="Labelled evidence in the format of --task. Default: synthetic needles."
        ),
    ] = None,
    task: Annotated[
        str, typer.Option("--task", metavar="NAME", help=f"The format of --data: one of {', '.join(TASKS)}.")
    ] = "locomo",
    conversations: Annotated[
        str,
        typer.Option(
            "--conversations", help="Positions of the histories of --data to use, such as 0,1,2; keep some for testing."
        ),
    ] = "0,1,2",
    histories: Annotated[int, typer.Option("--histories", min=1, help="How many synthetic histories to make.")] = 4,
    records: Annotated[int, typer.Option("--records", min=20, help="Records in each synthetic history.")] = 240,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", help="Text before each record and request. Default: the start of a user turn."),
    ] = None,
    max_layer: Annotated[
        int | None, typer.Option("--max-layer", min=0, help="Deepest layer to try: a shallower index is cheaper.")
    ] = None,
    max_heads: Annotated[int, typer.Option("--max-heads", min=1, help="Most heads to keep.")] = 6,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the synthetic histories.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write. Default: Penchant's cache.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Write a heat map of the heads (PNG or SVG).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the heads of a model whose attention marks evidence, weigh them, and write the calibration file."""
    check_file(out)  # now, not after minutes of work
    if plot is not None:
        check_plot(plot)
    from penchant.index.discovery import discover, prefix_of
    from penchant.lens.lens import Lens
    from penchant.lens.plot import plot_heads
    from penchant.lens.synthetic import needle_histories
    from penchant.marking.fusion_weights import fit_fusion
    from penchant.models.loading import load_model

    labelled: list[LabelledHistory] = (
        needle_histories(histories, records, seed)
        if data is None
        else _picked(TASKS.find(task).labelled(data), conversations)
    )
    loaded = load_model(model)
    path = out or _default_path(loaded)
    with step_bar() as progress:
        lens = Lens(loaded)
        found = discover(
            lens,
            labelled,
            prefix=prefix_of(loaded) if prefix is None else prefix,
            max_layer=max_layer,
            max_heads=max_heads,
            source=f"planted facts, seed {seed}" if data is None else f"{data.name}, {conversations}",
            progress=progress,
        )
        calibration = fit_fusion(lens, found.calibration, labelled, progress)
    _save(calibration, path)
    if plot is not None:
        plot_heads(found.auc, calibration, plot)
    document = {
        "calibration": str(path),
        "heads": [list(head) for head in calibration.heads],
        "weights": list(calibration.weights),
        "fusion": {name: dict(weights) for name, weights in calibration.fusion.items()},
        "scores": dict(calibration.scores),
        "plot": None if plot is None else str(plot),
    }

    def show() -> None:
        table = Table("head", "weight", "AUC alone", box=None, header_style="dim")
        for (layer, head), weight in zip(calibration.heads, calibration.weights, strict=True):
            table.add_row(f"{layer}.{head}", f"{weight:.2f}", f"{found.auc[layer, head]:.3f}")
        stdout_console().print(table)
        stderr.print(f"[dim]AUC together, on held-out histories: {calibration.scores['auc_left_out']}; {path}[/]")

    emit(document, as_json, show)
    reached = calibration.scores["auc_left_out"]
    if reached is None:
        stderr.print(
            "[yellow]whether these heads are better than chance is unknown: a single history leaves none to test them "
            "on; discover on two or more[/]",
            soft_wrap=True,
        )
    elif reached < NO_BETTER:
        stderr.print(
            f"[yellow]these heads find evidence hardly better than chance (AUC {reached:.2f}; chance is 0.5): mark "
            "with --marker bm25, or discover on data of your own with --data[/]",
            soft_wrap=True,
        )


def _picked(labelled: Sequence[LabelledHistory], positions: str) -> list[LabelledHistory]:
    """Return the histories whose positions are listed, as in "0,1,2"."""
    wanted = [part.strip() for part in positions.split(",")]
    there = {str(position): one for position, one in enumerate(labelled)}
    if not there.keys() >= set(wanted) or len(set(wanted)) < len(wanted):
        raise InputError(
            f"conversations {positions!r}: expected different numbers from 0 to {len(labelled) - 1}, "
            "separated by commas"
        )
    return [there[position] for position in wanted]


def _default_path(loaded: LoadedModel) -> Path:
    from penchant.lens.calibration import user_calibrations

    # One file per model: a second discovery replaces the first, so that an outdated file is never read.
    path = user_calibrations() / f"{loaded.name.replace('/', '--')}-{loaded.fingerprint[:8]}.json"
    with contextlib.suppress(OSError):  # `check_writable` says what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
    check_writable(path)
    return path


def _save(calibration: Calibration, path: Path) -> None:
    from penchant.lens.calibration import save_calibration

    try:
        save_calibration(calibration, path)
    except OSError as error:
        raise unwritable(path, error) from error
