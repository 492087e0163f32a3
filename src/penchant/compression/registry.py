"""Compressors by name. A built-in one is a line here; a package adds one through the entry points
`penchant.compressors`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from penchant.compression.profile import Compressor
from penchant.errors import InputError
from penchant.extensions import Registry

COMPRESSORS: Registry[Callable[..., Compressor]] = Registry(
    "compressor",
    "penchant.compressors",
    {
        "extractive": "penchant.compression.extractive:extractive",
        "rewriting": "penchant.compression.rewriting:rewriting",
        "remote": "penchant.compression.remote:remote",
    },
)


def compressor(name: str, **options: Any) -> Compressor:
    """The compressor `name`, made with those of `options` that it takes.

    Every one takes part of the same options (tokenizer, loaded, base_url, model, dates, ...), so a caller may offer all
    it has. Raises `InputError` for an unknown name, listing the names, for an option that none of them takes, and for
    one that this one needs and that is missing.
    """
    factory = COMPRESSORS.find(name)
    taken = {n for make in COMPRESSORS.values() for n in inspect.signature(make).parameters}
    if unknown := sorted(options.keys() - taken):
        raise InputError(f"no compressor has an option {unknown[0]!r}: expected some of {', '.join(sorted(taken))}")
    parameters = inspect.signature(factory).parameters
    missing = [n for n, p in parameters.items() if p.default is p.empty and options.get(n) is None]
    if missing:
        raise InputError(f"compressor {name!r} needs {', '.join(missing)}: pass what is missing")
    return factory(**{n: v for n, v in options.items() if n in parameters and v is not None})
