"""A user's history: records, segments, dialogues, history files."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penchant.history.jsonl import load_history, read_records, write_records
    from penchant.history.records import History, Record, Request, Segment
    from penchant.history.segmentation import segment, segment_record

__all__ = [
    "History",
    "Record",
    "Request",
    "Segment",
    "load_history",
    "read_records",
    "segment",
    "segment_record",
    "write_records",
]

_WHERE = {
    **dict.fromkeys(("History", "Record", "Request", "Segment"), "records"),
    **dict.fromkeys(("load_history", "read_records", "write_records"), "jsonl"),
    **dict.fromkeys(("segment", "segment_record"), "segmentation"),
}


def __getattr__(name: str) -> object:
    # Reading history files needs pydantic, which a list of users doesn't wait for.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
