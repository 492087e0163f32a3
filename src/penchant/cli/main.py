"""The command line: one file per group of commands, put together here."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.logging import RichHandler

from penchant.cli.chat import chat
from penchant.cli.data import import_command, users_app
from penchant.cli.demo import demo
from penchant.cli.doctor import doctor
from penchant.cli.heads import heads_app
from penchant.cli.output import run as run_app
from penchant.cli.output import stderr
from penchant.cli.request import ask, compress, mark
from penchant.cli.steer import steer_app
from penchant_lab.cli.bench import bench_app

app = typer.Typer(
    name="penchant",
    help="Personal answers from any open-weight language model, at the price of a short prompt.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo)
app.command("import")(import_command)
app.add_typer(users_app, name="users")
app.command("mark")(mark)
app.command("compress")(compress)
app.command("ask")(ask)
app.command("chat")(chat)
app.add_typer(steer_app, name="steer")
app.add_typer(heads_app, name="heads")
app.add_typer(bench_app, name="bench")
app.command("doctor")(doctor)


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
