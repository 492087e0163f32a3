"""Indexes in a directory: what the tests of files and of their failures share."""

from pathlib import Path

from penchant.history.records import History
from penchant.index.attention import AttentionIndex
from penchant.index.table import Storage
from tests.index.cases import encoder_of, history_of, texts

BODIES = texts(12)
HISTORY = history_of(BODIES)


def opened(directory: Path, storage: Storage = "native", **changes: object) -> AttentionIndex:
    return AttentionIndex(encoder_of(**changes), directory, storage)  # type: ignore[arg-type]


def written(directory: Path, history: History = HISTORY, storage: Storage = "native") -> AttentionIndex:
    index = opened(directory, storage)
    index.sync(history)
    return index


def folder(directory: Path) -> Path:
    [only] = directory.iterdir()
    return only


def chunks(directory: Path) -> list[Path]:
    return sorted(folder(directory).glob("*.safetensors*"))
