"""The command line: one file per group of commands, imported when one of them runs."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

import penchant
from penchant.cli.group import Command, group_of
from penchant.cli.output import run as run_app
from penchant.cli.output import stderr
from penchant.extensions import Registry

COMMANDS: Registry[Command] = Registry(
    "command",
    "penchant.commands",
    {
        "demo": "penchant.cli.demo:demo",
        "import": "penchant.cli.importing:import_app",
        "users": "penchant.cli.users:users_app",
        "add": "penchant.cli.add:add",
        "mark": "penchant.cli.request:mark",
        "compress": "penchant.cli.request:compress",
        "ask": "penchant.cli.request:ask",
        "chat": "penchant.cli.chat:chat",
        "serve": "penchant.cli.serve:serve",
        "keys": "penchant.cli.keys:keys_app",
        "mcp": "penchant.cli.mcp:mcp",
        "store": "penchant.cli.store:store_app",
        "steer": "penchant.cli.steer:steer_app",
        "heads": "penchant.cli.heads:heads_app",
        "doctor": "penchant.cli.doctor:doctor",
    },
)

ABOUT = {
    "demo": "Run every step for three sample users: six requests each, answered without and with a profile.",
    "import": "Import records into the store; importing the same file again adds nothing.",
    "users": "List, show, erase and export the users of the store.",
    "add": "Add one record to a user's history; a new user is made.",
    "mark": "Score what matters in a history for a request; --html writes a page to look at.",
    "compress": "Write a profile of at most --budget tokens for a request.",
    "ask": "Answer a request personally, and say what the answer is based on.",
    "chat": "Chat with the model: it follows your standing instructions and remembers what you said.",
    "serve": "Serve personal answers behind the API of OpenAI: clients change their base URL.",
    "keys": "Make, list and revoke the keys of the server's clients.",
    "store": "Encrypt or rewrite the database of a store.",
    "mcp": "Serve a user's memory to an assistant over the Model Context Protocol.",
    "steer": "Steer the model with a user's own answers.",
    "heads": "Find the retrieval heads of a model.",
    "doctor": "Say what is installed, and check in a minute that everything works: on this machine, or on a server.",
}
"""The first line of each command's own help: importing all commands for a list takes seconds."""

ENVIRONMENT = {
    "PENCHANT_STORE": "the folder of the store, or the URL of a database",
    "PENCHANT_MASTER_KEY": "the master key of an encrypted store",
    "PENCHANT_MASTER_KEY_FILE": "a file with that key",
    "PENCHANT_KEY_STORE": "where the users' keys of an encrypted store are: a folder or a database URL",
    "PENCHANT_CACHE": "the folder for unpacked models, calibrations and indexes of files",
    "PENCHANT_DEVICE": "where models run: cpu, cuda, cuda:1, mps",
    "PENCHANT_DTYPE": "their number format: float32, bfloat16, float16",
    "PENCHANT_ENDPOINT": "the URL of an endpoint that answers",
    "PENCHANT_ENDPOINT_MODEL": "the model to use there",
    "OPENAI_API_KEY": "the key for an endpoint",
}

app = typer.Typer(
    name="penchant",
    epilog="\b\nEnvironment variables:\n" + "\n".join(f"  {name:<24}  {about}" for name, about in ENVIRONMENT.items()),
    cls=group_of(COMMANDS, ABOUT),
    help="Personal answers from any open-weight language model, at the price of a short prompt.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"penchant {penchant.__version__}\n")
        raise typer.Exit


@app.callback()
def main(
    verbose: Annotated[bool, typer.Option("--verbose", help="Print more to stderr.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    from rich.logging import RichHandler

    level = logging.INFO if verbose else logging.WARNING
    handler = RichHandler(console=stderr, show_time=False, show_path=False)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)
    for noisy in ("transformers", "httpx", "urllib3", "bm25s"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def run() -> None:
    """Run the command line and exit."""
    run_app(app)
