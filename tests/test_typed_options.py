"""No public call takes `**options: Any`: keyword arguments are named, or typed as a whole (`Unpack`)."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import penchant

ADAPTERS = "penchant.integrations."
"""Their signatures are their frameworks'."""


def public_calls() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in pkgutil.walk_packages(penchant.__path__, "penchant."):
        parts = module.name.split(".")
        if module.name.startswith(ADAPTERS) or any(part.startswith("_") for part in parts) or parts[1] == "cli":
            continue
        if "migrations" in parts:
            continue
        loaded = importlib.import_module(module.name)
        for name, thing in vars(loaded).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.name:
                continue
            if inspect.isfunction(thing):
                yield f"{module.name}.{name}", thing
            elif inspect.isclass(thing):
                for inner, call in vars(thing).items():
                    if inspect.isfunction(call) and (not inner.startswith("_") or inner == "__init__"):
                        yield f"{module.name}.{name}.{inner}", call


def test_options_are_typed() -> None:
    seen, loose = 0, []
    for name, call in public_calls():
        seen += 1
        for parameter in inspect.signature(call).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD and str(parameter.annotation).strip("'\"") in (
                "Any",
                "typing.Any",
            ):
                loose.append(name)
    assert seen > 500
    assert loose == []
