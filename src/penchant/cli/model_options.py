"""Options of every command that takes --model: how that model is loaded. They travel with its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

MODEL = "model"


def _loading(
    *,
    adapter: Annotated[
        Path | None,
        typer.Option(
            "--adapter", metavar="DIR", help="Apply the LoRA adapter in this directory (PEFT).", show_default=False
        ),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the code that the model brings along. Read it first.")
    ] = False,
) -> None:
    pass  # for its options


@cache
def _options() -> tuple[Any, ...]:
    app = typer.Typer(add_completion=False)
    app.command()(_loading)
    return tuple(get_command(app).params)


def with_model_options(command: Any) -> Any:
    """Give a command that has --model the other options of a model too, after it, in place."""
    places = [i for i, param in enumerate(command.params) if param.name == MODEL]
    if not places:
        return command
    command.params[places[0] + 1 : places[0] + 1] = _options()
    run: Callable[..., Any] = command.callback

    def callback(*args: Any, adapter: Path | None, trust_remote_code: bool, **options: Any) -> Any:
        if adapter is not None or trust_remote_code:
            from penchant.models.model_name import ModelName

            options[MODEL] = ModelName(options[MODEL], adapter=adapter, trust_remote_code=trust_remote_code)
        return run(*args, **options)

    command.callback = callback
    return command
