"""Implementations by name: built-in ones, and those that installed packages add through entry points.

A package adds a marker by declaring an entry point in the group `penchant.markers`:

    [project.entry-points."penchant.markers"]
    shout = "my_package.shout:make"

Names are read from metadata; the module behind a name is imported when the name is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pkgutil import resolve_name
from typing import TypeVar

from penchant.errors import ExtensionError, InputError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A mapping from names to implementations, each imported when it is first looked up.

    kind: the word for an implementation in messages ("marker"). group: the entry point group that adds to it ("":
    none). built_in: names to "module:attribute". expects: the "module:class" that an implementation must be an instance
    of; "" for any callable.
    """

    def __init__(self, kind: str, group: str, built_in: Mapping[str, str], expects: str = "") -> None:
        self.kind, self.group = kind, group
        self._built_in, self._expects = dict(built_in), expects
        self.loaded: dict[str, T] = {}
        """The implementations imported so far."""

    def find(self, name: str) -> T:
        """Return the implementation `name`. Raises `InputError` for an unknown name, listing the known ones, and
        `ExtensionError` if a package's entry point can't be used.
        """
        self.check(name)
        return self[name]

    def check(self, name: str) -> None:
        """Raise `InputError` for an unknown name, without importing anything: for checks before long work."""
        if name not in self:
            raise InputError(f"no {self.kind} {name!r}: expected one of {', '.join(self) or 'none: none is installed'}")

    def __getitem__(self, name: str) -> T:
        if name not in self.loaded:
            self.loaded[name] = self._load(name)
        return self.loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._installed

    def __iter__(self) -> Iterator[str]:
        return iter({**self._built_in, **self._installed})

    def __len__(self) -> int:
        return len(self._built_in.keys() | self._installed.keys())

    @cached_property
    def _installed(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for point in sorted(_entry_points().get(self.group, ()), key=lambda point: point.name):
            found.setdefault(point.name, []).append(point)
        return found

    def _load(self, name: str) -> T:
        points = self._installed.get(name, [])
        if name in self._built_in:
            if points:
                raise ExtensionError(
                    f"{_whose(points)} adds a {self.kind} {name!r}, which is a built-in name: expected another name; "
                    "rename it there, or uninstall the package"
                )
            built_in: T = resolve_name(self._built_in[name])
            return built_in
        if not points:
            raise KeyError(name)
        if len(points) > 1:
            raise ExtensionError(
                f"{_whose(points)} each add a {self.kind} {name!r}: expected one; uninstall all but one of them"
            )
        (point,) = points
        try:
            made: T = point.load()
        except Exception as error:  # somebody else's module may raise anything while it is imported
            raise ExtensionError(
                f"the {self.kind} {name!r} of {_whose(points)} can't be imported from {point.value} "
                f"({type(error).__name__}: {error}): repair or uninstall the package"
            ) from error
        if not (isinstance(made, resolve_name(self._expects)) if self._expects else callable(made)):
            wanted = self._expects.rpartition(":")[2] or "a callable"
            raise ExtensionError(
                f"the {self.kind} {name!r} of {_whose(points)} is a {type(made).__name__}: expected {wanted}; "
                "repair or uninstall the package"
            )
        return made


@cache
def _entry_points() -> Mapping[str, EntryPoints]:
    # Read once for all groups: each call reads the metadata of every installed package.
    found = entry_points()
    return {group: found.select(group=group) for group in found.groups}


def _whose(points: list[EntryPoint]) -> str:
    packages = [point.dist for point in points]
    names = [f"{one.name} {one.version}" if one else "a package without a name" for one in packages]
    return " and ".join(dict.fromkeys(names))
