"""Commands that are imported when they run, so that `penchant --help` waits for none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from penchant.errors import ExtensionError
from penchant.extensions import Registry

Command = Callable[..., Any] | typer.Typer
"""A function with typer's annotations, or an app with commands of its own."""


def group_of(commands: Registry[Command]) -> type[TyperGroup]:
    """For `typer.Typer(cls=...)`: a group whose commands are those of a registry."""

    class Group(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(commands)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return _made(cmd_name, commands) if cmd_name in commands else None

    return Group


def _made(name: str, commands: Registry[Command]) -> Any:
    parent = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    parent.callback()(lambda: None)  # with a callback it is a group, whatever it holds
    try:
        command = commands.find(name)
    except ExtensionError as error:  # of one package; the other commands are still listed
        parent.command(name, help=f"Can't be used: {error}", context_settings=_ANYTHING)(_raising(error))
    else:
        if isinstance(command, typer.Typer):
            parent.add_typer(command, name=name)
        else:
            parent.command(name)(command)
    return get_group(parent).commands[name]


_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


def _raising(error: ExtensionError) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command
