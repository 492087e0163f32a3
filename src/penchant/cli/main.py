"""The command line: one file per group of commands, imported when one of them runs."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.logging import RichHandler

from penchant.cli.group import Command, group_of
from penchant.cli.output import run as run_app
from penchant.cli.output import stderr
from penchant.extensions import Registry

COMMANDS: Registry[Command] = Registry(
    "command",
    "penchant.commands",
    {
        "demo": "penchant.cli.demo:demo",
        "import": "penchant.cli.data:import_command",
        "users": "penchant.cli.data:users_app",
        "mark": "penchant.cli.request:mark",
        "compress": "penchant.cli.request:compress",
        "ask": "penchant.cli.request:ask",
        "chat": "penchant.cli.chat:chat",
        "steer": "penchant.cli.steer:steer_app",
        "heads": "penchant.cli.heads:heads_app",
        "doctor": "penchant.cli.doctor:doctor",
    },
)

app = typer.Typer(
    name="penchant",
    cls=group_of(COMMANDS),
    help="Personal answers from any open-weight language model, at the price of a short prompt.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def main(
    verbose: Annotated[bool, typer.Option("--verbose", help="Say more on stderr.")] = False,
) -> None:
    level = logging.INFO if verbose else logging.WARNING
    handler = RichHandler(console=stderr, show_time=False, show_path=False)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)
    for noisy in ("transformers", "httpx", "urllib3", "bm25s"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def run() -> None:
    """Run the command line and exit."""
    run_app(app)
