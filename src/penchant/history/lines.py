"""Reading JSON Lines files that people write, with error messages that name file and line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from penchant.errors import InputError
from penchant.text.unicode import replace_surrogates

Model = TypeVar("Model", bound=BaseModel)
Made = TypeVar("Made")


def numbered_lines(path: Path, what: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers, without blank lines and a byte-order mark. what: the file's kind
    for messages ("history"). Raises `InputError` for a file that can't be read or is UTF-16.
    """
    try:
        # Read as bytes: only \n ends a line (text mode would also break at a lone \r inside a string).
        with path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                if number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise InputError(f"{path.name} is UTF-16: expected UTF-8; save it as UTF-8")
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                if line.strip():
                    yield number, line
    except OSError as error:
        raise InputError(
            f"{path} can't be read: {error.strerror or error}; expected a {what} file (JSON Lines)"
        ) from error


def parse_line(
    raw: bytes, where: str, model: type[Model], make: Callable[[Model], Made], *, what: str, shape: str
) -> Made:
    """Parse one line, whose keys are those of `model`, and return the result of `make`. For messages: where is file and
    line, what a word for the line ("record"), shape an example of a line.

    Raises `InputError` that names all three and the first problem: invalid UTF-8 or JSON, a wrong type, an unknown or
    missing key, or a value that `make` refuses.
    """

    def fail(why: str) -> NoReturn:
        raise InputError(f"{where}: {why}: expected {shape}; fix or remove the line") from None

    try:
        fields = json.loads(raw.rstrip(b"\r\n").decode("utf-8"), parse_constant=_no_number)
        if b"\\u" in raw:  # only an escape can hide half a character
            fields = replace_surrogates(fields)
    except UnicodeDecodeError as error:
        fail(f"not UTF-8 at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        fail(f"invalid JSON ({error.msg}, column {error.colno})")
    except (ValueError, RecursionError) as error:
        fail(f"invalid JSON ({error})")
    if not isinstance(fields, dict):
        fail(f"invalid {what} (a JSON {type(fields).__name__})")
    try:
        return make(model.model_validate(fields))
    except ValidationError as error:
        fail(f"invalid {what} ({_first_problem(error, model)})")
    except InputError as error:
        fail(f"invalid {what} ({error})")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    unknown = [str(problem["loc"][0]) for problem in error.errors() if problem["type"] == "extra_forbidden"]
    if unknown:
        known = ", ".join(model.model_fields)
        return f"unknown key{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}, known are {known}"
    problem = error.errors()[0]
    if problem["loc"][0] == "label" and problem["type"] != "value_error":
        return "label: must be a number or a string"
    return f"{problem['loc'][0]}: {problem['msg'].removeprefix('Value error, ')}"
