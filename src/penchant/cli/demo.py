"""`penchant demo`: every step, on the sample histories and the embedded model."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import Progress
from rich.table import Table

from penchant.cli.endpoint import (
    EndpointKeyOption,
    EndpointModelOption,
    EndpointOption,
    EndpointTimeoutOption,
    chosen_endpoint,
    tell_what_leaves,
)
from penchant.cli.options import BudgetOption, MarkerOption, MaxTokensOption, ModelOption
from penchant.cli.output import JsonOption, check_file, emit, stderr, stdout_console, write_text
from penchant.compression.registry import BUDGET_SHARE
from penchant.history.records import Request
from penchant.marking.registry import DEFAULT_MARKER

if TYPE_CHECKING:
    from penchant.demo.run import Outcome

_TOP = 3


def demo(
    *,
    model: ModelOption = "smollm2",
    marker: MarkerOption = DEFAULT_MARKER,
    budget: BudgetOption = BUDGET_SHARE,
    requests: Annotated[
        int | None,
        typer.Option("--requests", min=1, help="How many requests of each user to answer.", show_default=False),
    ] = None,
    max_tokens: MaxTokensOption = 48,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write the heat map of the last request.", show_default=False),
    ] = None,
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = None,
    endpoint_key_env: EndpointKeyOption = None,
    endpoint_timeout: EndpointTimeoutOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Run every step for three sample users: six requests each, answered without and with a profile."""
    check_file(html)
    answering = chosen_endpoint(endpoint, endpoint_model, endpoint_key_env, endpoint_timeout)
    tell_what_leaves(answering, what="the sample users' profiles")
    from penchant.demo.run import run_demo
    from penchant.marking.heatmap import heatmap_html
    from penchant.personalizer import Personalizer

    console = stderr if as_json else stdout_console()
    outcomes: list[Outcome] = []
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("Loading the model", total=None)

        def encoded(step: str, done: int, total: int | None) -> None:
            progress.update(task, description="Encoding a history", completed=done, total=total)

        personalizer = Personalizer(model, marker=marker, progress=encoded, endpoint=answering)
        shown = None
        for history, outcome in run_demo(personalizer, budget=budget, max_tokens=max_tokens, requests=requests):
            shown = history
            outcomes.append(outcome)
            if not as_json:
                progress.stop()  # else the panel begins behind the bar, on its line
                _show(console, outcome)
                progress.start()
            progress.update(task, description="Answering", completed=0, total=None)
        if html is not None and shown is not None:
            asked = Request(outcomes[-1].request.query)
            write_text(html, heatmap_html(shown, asked, personalizer.mark(shown, asked), outcomes[-1].profile))
    answered = {
        "model": personalizer.loaded.name if answering is None else answering.model,
        "endpoint": None if answering is None else answering.base_url,
        "marking_model": personalizer.loaded.name,
    }
    emit({**answered, **_document(outcomes)}, as_json, lambda: _totals(console, outcomes))


def _show(console: Console, outcome: Outcome) -> None:
    profile = outcome.profile
    best = sorted(zip(profile.scores, profile.segments, strict=True), key=lambda pair: -pair[0])[:_TOP]
    grid = Table(box=None, show_header=False, padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row("history", f"{profile.history_tokens:,} tokens")
    grid.add_row("profile", f"{profile.tokens} tokens, {profile.shortening}")
    for score, segment in best:
        grid.add_row(
            "mark" if (score, segment) == best[0] else "", f"[dim]{score:5.2f}[/]  {escape(_line(segment.text))}"
        )
    grid.add_row("without", escape(_line(outcome.without)))
    grid.add_row("with", f"[{_colour(outcome)}]{escape(_line(outcome.answer))}[/]")
    cold = f"{outcome.cold:.2f} s cold, " if outcome.cold is not None else ""
    grid.add_row("seconds", f"{cold}{outcome.warm:.2f} s warm, to the profile")
    title = f"{outcome.user}: {escape(outcome.request.query)}"
    console.print(Panel(grid, title=title, title_align="left", expand=console.is_terminal))


def _colour(outcome: Outcome) -> str:
    return "green" if outcome.right else "red" if outcome.request.factual else "default"


def _line(text: str, width: int = 150) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"


def _totals(console: Console, outcomes: list[Outcome]) -> None:
    totals = _document(outcomes)["totals"]
    table = Table(
        "user", "history", "profile", "ratio", "right without", "right with", "cold", "warm", header_style="dim"
    )
    for user in dict.fromkeys(outcome.user for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.user == user]
        one = _document(own)["totals"]
        table.add_row(user, *_cells(one))
    table.add_section()
    table.add_row("all", *_cells(totals), style="bold")
    console.print(table)
    console.print(
        "[dim]right: the answer to a factual request holds the fact. cold: time to the profile, with indexing; "
        "warm: the same for a further request. tokens: counted by the marking model.[/]"
    )


def _cells(totals: dict[str, Any]) -> list[str]:
    factual = totals["factual"]
    return [
        f"{totals['history_tokens']:,}",
        f"{totals['profile_tokens']:,.0f}",
        f"{totals['ratio']:.0f}x",
        f"{totals['right_without']} of {factual}",
        f"{totals['right']} of {factual}",
        f"{totals['cold']:.1f} s",
        f"{totals['warm']:.2f} s",
    ]


def _document(outcomes: list[Outcome]) -> dict[str, Any]:
    factual = [outcome for outcome in outcomes if outcome.request.factual]
    return {
        "requests": [
            {
                "user": outcome.user,
                "request": outcome.request.query,
                "factual": outcome.request.factual,
                "history_tokens": outcome.profile.history_tokens,
                "tokens": outcome.profile.tokens,
                "ratio": round(outcome.profile.ratio, 1),
                "without": outcome.without,
                "answer": outcome.answer,
                "right_without": outcome.right_without,
                "right": outcome.right,
                "evidence_kept": outcome.evidence_kept,
                "profile": outcome.profile.text,
                "seconds": {"cold": outcome.cold, "warm": outcome.warm},
            }
            for outcome in outcomes
        ],
        "totals": {
            "factual": len(factual),
            "right": sum(outcome.right for outcome in factual),
            "right_without": sum(outcome.right_without for outcome in factual),
            "evidence_kept": sum(outcome.evidence_kept for outcome in outcomes),
            "history_tokens": round(statistics.mean(outcome.profile.history_tokens for outcome in outcomes)),
            "profile_tokens": round(statistics.mean(outcome.profile.tokens for outcome in outcomes), 1),
            "ratio": round(statistics.mean(outcome.profile.ratio for outcome in outcomes), 1),
            "cold": statistics.mean(outcome.cold for outcome in outcomes if outcome.cold is not None),
            "warm": statistics.median(outcome.warm for outcome in outcomes),
        },
    }
