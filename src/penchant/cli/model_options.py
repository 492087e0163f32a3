"""Options of every command that takes --model: how that model is loaded. They travel with its name (`ModelName`)."""

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
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="D",
            help="Where the model runs: cpu, cuda, cuda:1, mps. Default: $PENCHANT_DEVICE, else the fastest there is.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype",
            metavar="D",
            help="Its number format: float32, bfloat16, float16. Default: $PENCHANT_DTYPE, else the device's.",
            show_default=False,
        ),
    ] = None,
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

    def callback(*args: Any, **options: Any) -> Any:
        from penchant.models.model_name import ModelName

        how = {param.name: options.pop(param.name) for param in _options()}
        options[MODEL] = ModelName(options[MODEL], **how)
        return run(*args, **options)

    command.callback = callback
    return command
