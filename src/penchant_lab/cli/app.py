"""`penchant bench`: its commands by name. Imports little, since it is imported for the list of commands."""

from __future__ import annotations

import typer

from penchant.cli.group import Command, group_of
from penchant.cli.streams import stdout
from penchant.extensions import Registry
from penchant.extras import require
from penchant.hints import command

NEEDS = ("matplotlib", "nltk", "sklearn")
"""Modules of the extra `bench`."""

ABOUT = {
    "mark": "How well methods find the records that contain the answer.",
    "compress": "Answers to questions about a long history, from profiles within a budget.",
    "title": "Titles, headlines and other texts in the user's own way.",
    "rating": "Ratings and likes.",
    "preference": "Choices that follow what the user prefers.",
    "memory": "Questions after a conversation, under a budget for the whole prompt: instructions kept, facts found.",
    "steer": "The user's own texts under steering by vectors: the user's, everyone's, another user's, random ones.",
    "speed": "Measure seconds, tokens fed and memory of marking on the sample histories, on the CPU.",
    "ablate": "Vary how a history is marked by attention, one choice at a time, and measure the evidence found.",
}

COMMANDS: Registry[Command] = Registry(
    "bench",
    "",
    {
        **{
            name: f"penchant_lab.cli.bench:{name}"
            for name in ("mark", "compress", "title", "rating", "preference", "memory", "steer")
        },
        "speed": "penchant_lab.cli.speed:speed",
        "ablate": "penchant_lab.cli.ablate:ablate",
    },
)

bench_app = typer.Typer(
    cls=group_of(COMMANDS, ABOUT),
    help="Measure methods side by side on a data set: results.json, report.md and report.html in a folder.",
    invoke_without_command=True,
)


@bench_app.callback()
def bench(context: typer.Context) -> None:
    require(*NEEDS, extra="bench", why=command("bench"))
    if context.invoked_subcommand is None:
        stdout().write(context.get_help() + "\n")
