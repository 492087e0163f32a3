"""Commands that are imported when they run, so that `penchant --help` imports none of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_group

from penchant.cli.model_options import with_model_options
from penchant.cli.streams import guarded
from penchant.errors import ExtensionError
from penchant.extensions import Registry

Command = Callable[..., Any] | typer.Typer
"""A function with typer's annotations, an app with commands of its own, or an app of that one command."""


def group_of(commands: Registry[Command], about: Mapping[str, str]) -> type[TyperGroup]:
    """Make a group for `typer.Typer(cls=...)` from the commands of a registry. about: a help line for each; a command
    without one is imported to get it.
    """

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = cast(Any, _Commands(commands))

        def list_commands(self, ctx: Any) -> list[str]:
            return list(self.commands)

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            rows = [(name, about.get(name) or self.commands[name].get_short_help_str(_LINE)) for name in commands]
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    return Group


class _Commands(Mapping[str, Any]):
    """A mapping from names to commands, each made when it is looked up."""

    def __init__(self, registry: Registry[Command]) -> None:
        self._registry = registry

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry)

    def __len__(self) -> int:
        return len(self._registry)

    def __getitem__(self, name: str) -> Any:
        parent = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        parent.callback()(lambda: None)  # an app with a callback is a group, however many commands it has
        try:
            command = self._registry[name]
        except ExtensionError as error:  # one package is broken; the other commands are still listed
            parent.command(name, help=f"Can't be used: {error}", context_settings=_ANYTHING)(_raising(error))
        else:
            if isinstance(command, typer.Typer) and _is_one_command(command):
                (info,) = command.registered_commands
                parent.registered_commands.append(info)
            elif isinstance(command, typer.Typer):
                parent.add_typer(command, name=name)
            else:
                parent.command(name)(command)
        return _guarded(get_group(parent).commands[name])


def _guarded(command: Any) -> Any:
    """Let a command of Penchant's, and those below it, run with streams of its own, and load its model as its options
    say. A command of another package may print as it likes; it can use `guarded` itself.
    """
    below = getattr(command, "commands", {})
    for one in () if isinstance(below, _Commands) else below.values():  # those of `group_of` are guarded when imported
        _guarded(one)
    package = getattr(command.callback, "__module__", "").partition(".")[0]
    if package in ("penchant", "penchant_lab"):
        with_model_options(command)
        run = command.callback

        @functools.wraps(run)
        def callback(*args: Any, **options: Any) -> Any:
            with guarded():
                return run(*args, **options)

        command.callback = callback
    return command


def _is_one_command(app: typer.Typer) -> bool:
    return app.registered_callback is None and not app.registered_groups and len(app.registered_commands) == 1


_LINE = 200
"""Length in characters of a command's line in the help of its group."""
_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


def _raising(error: ExtensionError) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command
