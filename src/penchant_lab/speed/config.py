"""The setting of all parts of the speed benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penchant.index.encode import Encoder
from penchant.index.pool import IndexPool
from penchant.index.table import Storage
from penchant.lens.calibration import Calibration, read_calibration
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel, load_model
from penchant.models.model_name import ModelName
from penchant.models.progress import no_bars

Say = Callable[[str], None]
Save = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class SpeedConfig:
    """threads: of torch. quick: fewer runs and sizes, to see that everything works. calibration: a file, or None for
    the model's own. memory: bytes that one measurement may need at most. say: progress on stderr. model: as
    `load_model` takes it. peers: the folder of other programs, None for the default one."""

    threads: int
    quick: bool
    calibration: Path | None
    memory: int
    say: Say
    model: str = "smollm2"
    dtype: str = "bfloat16"
    peers: Path | None = None

    def payload(self) -> dict[str, Any]:
        """The part of it that a separate process needs."""
        calibration = None if self.calibration is None else str(self.calibration.resolve())
        return {"model": ModelName.of(self.model).payload(), "dtype": self.dtype, "calibration": calibration}

    def load(self) -> LoadedModel:
        return load_model(self.model, device="cpu", dtype=self.dtype)


def resources(loaded: LoadedModel, calibration: Path | str | None, storage: Storage = "native") -> Resources:
    """Return resources without an index."""
    read: Calibration | None = None if calibration is None else read_calibration(Path(calibration), loaded)
    return Resources(loaded, calibration=read, storage=storage)


def fresh_pool(encoder: Encoder, storage: Storage = "native") -> IndexPool:
    """An empty pool of indexes for a model that is loaded and whose neutral requests were read."""
    return IndexPool(encoder, storage=storage)


@contextmanager
def model_directory(loaded: LoadedModel) -> Iterator[Path]:
    """The model as the peers read it: a directory in Hugging Face layout."""
    with tempfile.TemporaryDirectory(prefix="penchant-bench-") as name:
        # The lens puts the name of its attention function into the config, which no other program knows.
        attention = loaded.model.config._attn_implementation
        try:
            loaded.model.set_attn_implementation("sdpa")
            with no_bars():
                loaded.model.save_pretrained(name)
        finally:
            loaded.model.set_attn_implementation(attention)
        loaded.tokenizer.save_pretrained(name)
        yield Path(name)
