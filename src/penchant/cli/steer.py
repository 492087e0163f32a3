"""`penchant steer`: fit steering for a user, show what is stored, add feedback, export vectors to other engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from penchant.cli.options import HistoryOption, ModelOption, TaskOption, UserOption
from penchant.cli.output import JsonOption, StoreOption, check_file, emit, open_store, stderr, stdout_console, step_bar
from penchant.cli.request import prepared
from penchant.errors import InputError
from penchant.figures import check_plot
from penchant.history.records import Request
from penchant.steering.choices import FORMATS, PAIRS, RANK, Similarity, Storage
from penchant.steering.methods.registry import DEFAULT_METHOD, VECTOR_METHODS, vector_method

if TYPE_CHECKING:
    from penchant.steering.data.contrast_file import ContrastFile
    from penchant.steering.fit.report import FitReport
    from penchant.store import Store

steer_app = typer.Typer(no_args_is_help=True, help="Steer the model with a user's own answers.")

MethodOption = Annotated[str, typer.Option("--method", metavar="NAME", help=f"One of {', '.join(VECTOR_METHODS)}.")]
StoredUser = Annotated[str, typer.Option("--user", metavar="ID", help="A user of the store.", show_default=False)]
COMPARED = {"hidden": "hidden states", "bm25": "words (BM25)", "dense": "sentence embeddings"}
_MARKER = "recency"
"""Steering marks nothing, so any marker will do: this one needs no calibration."""


@steer_app.callback()
def steer() -> None:
    """Steer the model with a user's own answers."""


@steer_app.command("fit")
def fit_command(
    *,
    user: UserOption = None,
    history: HistoryOption = None,
    method: MethodOption = DEFAULT_METHOD,
    task: TaskOption = None,
    pairs: Annotated[
        int, typer.Option("--pairs", min=1, metavar="N", help="Most pairs to read (the newest ones).")
    ] = PAIRS,
    refit: Annotated[
        bool,
        typer.Option("--refit", help="Choose layer, strength and weights again; in a store, this affects all users."),
    ] = False,
    storage: Annotated[
        Storage,
        typer.Option(
            "--storage",
            help=f"How vectors are stored: int8 halves them; low-rank keeps {RANK} numbers of each, in directions that "
            "all users share.",
        ),
    ] = "bfloat16",
    similarity: Annotated[
        Similarity | None,
        typer.Option(
            "--similarity",
            help="How samples and requests are compared: by the model's hidden states (default), words, or sentence "
            "embeddings.",
            show_default=False,
        ),
    ] = None,
    half_life: Annotated[
        float | None,
        typer.Option(
            "--half-life",
            metavar="DAYS",
            help="A sample this many days old counts half (default: age doesn't matter).",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Plot the configurations that were tried (PNG or SVG).", show_default=False
        ),
    ] = None,
    model: ModelOption = "smollm2",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn how a user answers. The configuration is chosen on other users and checked on this user's own answers.

    Only new answers are read, so run it again after an import.
    """
    if plot is not None:
        check_plot(plot)
    vector_method(method)
    with (
        prepared(user, history, store, model=model, marker=_MARKER) as (personalizer, who),
        step_bar() as progress,
    ):
        report = personalizer.fit_steering(
            who,
            method,
            pairs=pairs,
            refit=refit,
            storage=storage,
            similarity=similarity,
            half_life=half_life,
            task=task,
            progress=progress,
        )
    if plot is not None:
        from penchant.steering.fit.plot import plot_effects

        plot_effects(report.config, plot)
    document = {**report.as_dict(), "plot": None if plot is None else str(plot)}
    emit(document, as_json, lambda: _show_report(report))


@steer_app.command("show")
def show_command(*, user: StoredUser, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show the steering stored for a user, and which vectors are applied."""
    from penchant.steering.storage.fitted_state import paths_in_store, summaries

    with open_store(store, create=False) as opened:
        opened.count(user)  # there is such a user
        found = summaries(paths_in_store(opened, user))
        feedback = len(_contrasts(opened, user).contrasts(["feedback"]))

    def show() -> None:
        table = Table("method", "model", "samples", "level", "own", "population", "bytes", "storage", "why", box=None)
        table.header_style = "dim"
        for one in found:
            gains = [_nats(one[name]) if one[name] is not None else "" for name in ("own", "common")]
            about = [one["method"], one["model"] or one["fingerprint"], str(one["rows"]), one["level"] or ""]
            table.add_row(
                *map(escape, [*about, *gains, f"{one['bytes']:,}", one["storage"] or "", one["reason"] or ""])
            )
        stdout_console().print(table)
        stderr.print(f"[dim]feedback: {feedback}[/]")

    emit({"user": user, "steering": found, "feedback": feedback}, as_json, show)


@steer_app.command("feedback")
def feedback_command(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help='JSON Lines: {"query": ..., "up": ..., "down": ..., "task"?}.', show_default=False
        ),
    ],
    user: StoredUser,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a user's thumbs up and down; `steer fit` then uses them together with the user's own answers."""
    from penchant.steering.data.feedback import add_feedback

    with open_store(store, create=False) as opened:
        opened.count(user)  # there is such a user
        added, known = add_feedback(_contrasts(opened, user), file)
    document = {"user": user, "added": added, "unchanged": known}
    emit(document, as_json, lambda: stdout_console().print(f"{added} added, {known} already there"))


@steer_app.command("export")
def export_command(
    *,
    user: UserOption = None,
    history: HistoryOption = None,
    request: Annotated[
        str, typer.Option("--request", metavar="TEXT", help="The question or task.", show_default=False)
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="; ".join(f"{name}: {about}" for name, about in FORMATS.items()),
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.", show_default=False)],
    method: MethodOption = DEFAULT_METHOD,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Approximate what the format can't express exactly.")
    ] = False,
    model: ModelOption = "smollm2",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the vectors of one request for another engine, or for `penchant ask --steer-file`."""
    asked = Request(request)
    check_file(out)
    from penchant.steering.formats import export as write_export

    runs = {"model": model, "marker": _MARKER}
    with prepared(user, history, store, **runs) as (personalizer, who):
        found = personalizer.steered(who, asked, method)
        if found.intervention is None:
            raise InputError(f"nothing is written for this request ({found.reason}): there is nothing to export")
        made = write_export(found.intervention, format, out, model=personalizer.loaded, approximate=approximate)
    document = {
        "format": made.format,
        "path": None if made.path is None else str(made.path),
        "body": dict(made.body),
        "notes": list(made.notes),
        "level": found.level,
    }

    def show() -> None:
        stdout_console().print(f"{made.path}", highlight=False, markup=False, soft_wrap=True)
        for note in made.notes:
            stderr.print(f"[yellow]{escape(note)}[/]")

    emit(document, as_json, show)


def _contrasts(store: Store, user: str) -> ContrastFile:
    from penchant.steering.data.contrast_file import ContrastFile
    from penchant.steering.storage.fitted_state import paths_in_store

    return ContrastFile(paths_in_store(store, user).contrasts, user)


def _nats(gain: float | None) -> str:
    return "none" if gain is None else f"{gain:+.3f} nats a token"


def _show_report(report: FitReport) -> None:
    config, validation = report.config, report.validation
    layers = " ".join(dict.fromkeys(str(site.layer) for site in config.sites))
    kinds = ", ".join(dict.fromkeys(site.kind for site in config.sites))
    others = "1 other user" if config.users == 1 else f"{config.users} other users"
    whom = others if report.shared else "the user's own answers"
    common = "what helps everyone" if report.shared else "the mean of the user's own answers"
    written = {"own": "the user's own vectors", "population": common, "none": "nothing"}
    chosen = report.chosen
    rows = [
        ("method", config.method),
        ("layer", f"{layers} ({kinds})"),
        ("strength", "0" if chosen is None else f"{chosen.strength:g}"),
        (f"gain on {whom}", _nats(report.gain)),
    ]
    if validation.answers:
        rows += [
            (f"gain on {validation.answers} held-out answers of the user", _nats(validation.own)),
            (f"gain there by {common}", _nats(validation.common)),
        ]
    rows += [
        ("samples", f"{report.samples} ({report.read} read now)"),
        ("bytes", f"{report.bytes:,} ({report.storage})"),
        ("compared by", COMPARED[config.similarity]),
        *([("half-life", f"{aged:g} days")] if (aged := config.aggregation.half_life) is not None else []),
        ("written for this user", written[validation.level] + (f": {validation.reason}" if validation.reason else "")),
    ]
    table = Table(box=None, show_header=False)
    for name, value in rows:
        table.add_row(f"[dim]{escape(name)}[/]", escape(value))
    stdout_console().print(table)
    for reason, count in report.skipped.items():
        stderr.print(f"[dim]{count} pairs left out: {escape(reason)}[/]")
    if not report.shared:
        stderr.print("[yellow]chosen on this user's own answers: there are no two other users with four pairs[/]")
