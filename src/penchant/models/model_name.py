"""The name of a model together with how it is to be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Self


class ModelName(str):
    """What `load_model` takes as `spec`, with the values of its `adapter` and `trust_remote_code`: for whoever names a
    model that another part loads.
    """

    __slots__ = ("adapter", "trust_remote_code")
    adapter: Path | None
    trust_remote_code: bool

    def __new__(cls, name: str, *, adapter: Path | None = None, trust_remote_code: bool = False) -> Self:
        made = super().__new__(cls, name)
        made.adapter, made.trust_remote_code = adapter, trust_remote_code
        return made
