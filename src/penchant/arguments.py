"""Public calls refuse what they don't take: an unknown argument, or one of another type, is an `InputError` in one
line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import cache, wraps
from numbers import Integral, Real
from types import FunctionType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from penchant.errors import InputError

T = TypeVar("T", bound=Callable[..., Any])
PLAIN = ((str,), (int,), (float,))
"""What containers may hold whose items are checked, too."""


def checked(made: T) -> T:
    """Check the arguments of each call of a function, or of a class's constructor and public methods, against their
    annotations.

    Containers and callables are checked as such; what a container holds, if that is texts or numbers. NumPy's numbers
    become Python's, and an integer becomes a float where one is expected. The calls raise `InputError` for an argument
    that isn't there (listing those that are), a missing one, and one of another type.
    """
    if not isinstance(made, type):
        return cast(T, _checked(made))
    for name, function in list(vars(made).items()):
        if isinstance(function, FunctionType) and (name == "__init__" or not name.startswith("_")):
            setattr(made, name, _checked(function))
    return made


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)
    whose = function.__qualname__.removesuffix(".__init__")

    @cache
    def hints() -> dict[str, Any]:  # at the first call: annotations may name what is defined later
        return _hints(function, signature)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        known = hints()
        unknown = [name for name in kwargs if name not in known]
        if unknown:
            takes = ", ".join(_options(signature, known)) or "none"
            raise InputError(f"{whose} has no option {', '.join(map(repr, unknown))}: its options are {takes}")
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InputError(f"{whose}: {error}: expected {', '.join(known) or 'no arguments'}") from None
        for name, value in bound.arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {one: _taken(whose, one, given, known[one]) for one, given in value.items()}
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple(_taken(whose, name, given, known[name]) for given in value)
            elif name != "self":
                bound.arguments[name] = _taken(whose, name, value, known[name])
        return function(*bound.args, **bound.kwargs)

    return call


def _taken(whose: str, name: str, value: object, kind: Any) -> Any:
    if not fits(value, kind):
        raise InputError(f"{whose}: {name} {_short(value)}: expected {_readable(kind)}")
    if not isinstance(value, Real) or isinstance(value, bool):
        return value
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if float in kinds and not (int in kinds and isinstance(value, Integral)):
        return float(value)
    return int(value) if int in kinds and isinstance(value, Integral) else value


def _hints(function: Callable[..., Any], signature: inspect.Signature) -> dict[str, Any]:
    annotated = get_type_hints(function)
    found: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:  # Unpack[a TypedDict]
            found |= get_type_hints(get_args(annotated[name])[0])
        elif name != "self":
            found[name] = annotated[name]
    return found


def _options(signature: inspect.Signature, known: dict[str, Any]) -> list[str]:
    """Return the names of keyword arguments; without any, of all arguments."""
    plain = [one.name for one in signature.parameters.values() if one.kind is not one.KEYWORD_ONLY]
    return [name for name in known if name not in plain] or list(known)


def fits(value: object, kind: Any) -> bool:
    """Whether a value is of an annotated type."""
    origin = get_origin(kind)
    if kind is Any or isinstance(kind, TypeVar) or _is_plain_protocol(kind):
        return True
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in get_args(kind))
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(kind))
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    if get_args(kind) in PLAIN and isinstance(value, Collection) and not isinstance(value, str):
        return isinstance(value, origin) and all(fits(one, get_args(kind)[0]) for one in value)
    return isinstance(value, origin or kind)


def _is_plain_protocol(kind: Any) -> bool:
    """Whether a type has no instances that could be told."""
    return getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False)


def _short(value: object) -> str:
    shown = repr(value).split("\n")[0]
    return shown if len(shown) <= 60 else f"a {type(value).__name__}"


def _readable(kind: Any) -> str:
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    if options:
        return " or ".join("None" if one is type(None) else _readable(one) for one in options)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if (get_origin(kind) or kind) is Callable:
        return "a function"
    if get_args(kind) in PLAIN:
        return f"{_readable(get_origin(kind))} of {get_args(kind)[0].__name__}"
    return getattr(kind, "__name__", str(kind))
