"""The name of a model together with how it is to be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self


class ModelName(str):
    """What `load_model` takes as `spec`, with the values of its other arguments: for whoever names a model that another
    part loads. Those that `load_model` itself is given count before these.
    """

    __slots__ = ("adapter", "device", "dtype", "trust_remote_code")
    device: str | None
    dtype: str | None
    adapter: Path | None
    trust_remote_code: bool

    def __new__(
        cls,
        name: str,
        *,
        device: str | None = None,
        dtype: str | None = None,
        adapter: str | Path | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        made = super().__new__(cls, name)
        made.device, made.dtype = device, dtype
        made.adapter = None if adapter is None else Path(adapter)
        made.trust_remote_code = trust_remote_code
        return made

    @classmethod
    def of(cls, name: str) -> ModelName:
        """The name itself, or a plain one with the defaults."""
        return name if isinstance(name, ModelName) else cls(name)

    @property
    def options(self) -> dict[str, object]:
        """The options of the command line that name this model, by name."""
        how = {"device": self.device, "dtype": self.dtype, "adapter": self.adapter}
        given = {name: value for name, value in how.items() if value is not None}
        return {"model": str(self), **given, **({"trust_remote_code": True} if self.trust_remote_code else {})}

    def payload(self) -> dict[str, Any]:
        """The name and its options as JSON has them, for another process: `ModelName(**payload)`."""
        adapter = None if self.adapter is None else str(self.adapter.absolute())
        how = {"device": self.device, "dtype": self.dtype, "trust_remote_code": self.trust_remote_code}
        return {"name": str(self), "adapter": adapter, **how}
