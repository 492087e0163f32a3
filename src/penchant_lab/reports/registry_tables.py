"""Tables of everything that can be chosen by name: markers, compressors, memories and more, from their registries.

The description of an implementation is its `about` or `summary`, else the first sentence of its docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penchant.compression.registry import COMPRESSORS, DEFAULT_COMPRESSOR
from penchant.conversation.instructions.registry import DEFAULT_DETECTOR, DETECTORS
from penchant.conversation.registry import DEFAULT_MEMORY, MEMORIES
from penchant.hints import command
from penchant.history.importers.registry import IMPORTERS
from penchant.marking.registry import DEFAULT_MARKER, MARKERS
from penchant.models.embedded import EMBEDDED
from penchant.options import Options
from penchant.steering.methods.registry import DEFAULT_METHOD, VECTOR_METHODS
from penchant_lab.tasks.registry import TASKS


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def markers(_: Path) -> str:
    return _named(MARKERS, DEFAULT_MARKER)


def memories(_: Path) -> str:
    return _named(MEMORIES, DEFAULT_MEMORY)


def detectors(_: Path) -> str:
    return _named(DETECTORS, DEFAULT_DETECTOR)


def steering_methods(_: Path) -> str:
    return _named(VECTOR_METHODS, DEFAULT_METHOD)


def compressors(_: Path) -> str:
    """With the options that a caller of `Personalizer` may pass on."""
    rows = [
        (_name(name, DEFAULT_COMPRESSOR), about(one), _options(_defaults(one.options)))
        for name, one in COMPRESSORS.items()
    ]
    return table(("name", "what it does", "options and their defaults"), rows)


def formats(_: Path) -> str:
    rows = [(f"`{name}`", about(one), _options(one.options)) for name, one in IMPORTERS.items()]
    return table(("format", "what is read", "options and their defaults"), rows)


def tasks(_: Path) -> str:
    """One row per task, with its benches."""
    rows = [(f"`{name}`", ", ".join(f"`{one}`" for one in TASKS[name].benches), TASKS[name].about) for name in TASKS]
    return table(("task", command("bench"), "what is asked"), rows)


def embedded_models(_: Path) -> str:
    rows = [(f"`{name}`", f"`{one.install}`", one.licence) for name, one in EMBEDDED.items()]
    return table(("`--model`", "install", "licence"), rows)


def about(implementation: object) -> str:
    """One sentence, without a full stop."""
    given = getattr(implementation, "about", None) or getattr(implementation, "summary", None)
    return first_sentence(given if isinstance(given, str) else (inspect.getdoc(implementation) or ""))


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, without its full stop."""
    sentence = " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    return sentence[:1].upper() + sentence[1:]


def _named(registry: Mapping[str, object], default: str) -> str:
    lab = {name for name, one in registry.items() if _package(one) != "penchant"}
    rows = [
        (_name(name, default), about(one), "the lab" if name in lab else "")
        for name, one in sorted(registry.items(), key=lambda pair: pair[0] != default)
    ]
    if not lab:
        return table(("name", "what it does"), [row[:2] for row in rows])
    return table(("name", "what it does", "part of"), rows)


def _name(name: str, default: str) -> str:
    return f"`{name}` (default)" if name == default else f"`{name}`"


def _package(implementation: Any) -> str:
    return str(getattr(implementation, "__module__", "")).partition(".")[0]


def _defaults(options: type[Options]) -> dict[str, object]:
    """None for an option that has to be given."""
    return {name: None if field.is_required() else field.default for name, field in options.model_fields.items()}


def _options(defaults: Mapping[str, object]) -> str:
    return ", ".join(
        f"`{name}`" if value is None else f"`{name}={str(value).lower() if isinstance(value, bool) else value}`"
        for name, value in defaults.items()
    )
