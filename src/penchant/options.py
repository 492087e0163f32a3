"""Options as objects, and functions whose keyword arguments are options: both refuse what they do not know."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from penchant.errors import InputError


class Options(BaseModel):
    """Base class for the options of one implementation: each field has a type and a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


O = TypeVar("O", bound=Options)  # noqa: E741


def parse_options(kind: type[O], given: Options | Mapping[str, object], whose: str) -> O:
    """Return the options as an object. whose: their owner, for messages ("compressor 'remote'"). Raises `InputError`
    for an unknown option (listing the known ones), a missing one, and a value of the wrong type.
    """
    if isinstance(given, Options):
        if not isinstance(given, kind):
            raise InputError(f"{whose} takes its options as {kind.__name__}, not {type(given).__name__}")
        return given
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems = error.errors()
    unknown = [str(one["loc"][0]) for one in problems if one["type"] == "extra_forbidden"]
    if unknown:
        raise _unknown(whose, unknown, list(kind.model_fields))
    missing = [str(one["loc"][0]) for one in problems if one["type"] == "missing"]
    if missing:
        raise InputError(f"{whose} needs {', '.join(missing)}: pass a value for each")
    first = problems[0]
    raise InputError(f"{whose}: the option {first['loc'][0]} can't be {first['input']!r}: {first['msg']}")


def parse_arguments(function: Callable[..., Any], given: Mapping[str, object], whose: str) -> dict[str, Any]:
    """Return keyword-only arguments of the function, checked against its annotations. Raises as `parse_options`."""
    keywords = [one for one in inspect.signature(function).parameters.values() if one.kind is one.KEYWORD_ONLY]
    # Of these arguments alone: the types of the others may be imported for type checkers only.
    annotated = SimpleNamespace(__annotations__={one.name: one.annotation for one in keywords})
    hints = get_type_hints(annotated, getattr(inspect.unwrap(function), "__globals__", {}))
    fields: dict[str, Any] = {
        one.name: (hints[one.name], ... if one.default is one.empty else one.default) for one in keywords
    }
    parsed = parse_options(create_model("Arguments", __base__=Options, **fields), given, whose)
    return {name: getattr(parsed, name) for name in given}


def check_options(
    function: Callable[..., Any], given: Mapping[str, object], whose: str, besides: tuple[str, ...] = ()
) -> None:
    """Raise `InputError` for a name that isn't a keyword argument of the function. besides: arguments that aren't
    options.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.name not in besides]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise _unknown(whose, unknown, known)


def _unknown(whose: str, unknown: list[str], known: list[str]) -> InputError:
    named = ", ".join(map(repr, unknown))
    expected = f"its options are {', '.join(known)}" if known else "it takes no options"
    return InputError(f"{whose} has no option {named}: {expected}")
