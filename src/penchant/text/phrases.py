"""Phrases of a language, kept as data: one TOML file per language, compiled on first use."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penchant.errors import InputError

_AS_IT_IS = re.compile(r"\\b|(?<!\[)\^|\$|\(\?<!")


def compile_phrases(phrases: Iterable[str], words: Mapping[str, str | Sequence[str]]) -> re.Pattern[str]:
    r"""Compile phrases into one pattern that matches any of them, ignoring case.

    A phrase is a regular expression (`re`) that is matched as whole words, unless it contains \b, ^, $ or (?<!. words:
    %NAME% in a phrase stands for words["NAME"], or for any of them if there are several. Without phrases, the pattern
    matches nothing.
    """
    whole = "|".join(one if _AS_IT_IS.search(one) else rf"\b(?:{one})\b" for one in phrases)
    for name, value in words.items():
        whole = whole.replace(f"%{name}%", value if isinstance(value, str) else "|".join(value))
    return re.compile(whole or r"(?!)", re.IGNORECASE)


def read_languages(folder: Path, fields: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read the files CODE.toml of a folder, by code, English first: the order decides ties between languages.

    Raises `InputError` for a file that isn't TOML or has a field that isn't among `fields`.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.toml"), key=lambda path: (path.stem != "en", path.stem)):
        try:
            found[path.stem] = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path.name} isn't a TOML file: {error}") from None
        if unknown := sorted(found[path.stem].keys() - set(fields)):
            raise InputError(f"{path.name} has a field {unknown[0]!r}: expected some of {', '.join(fields)}")
    return found
