"""A user's history: records, segments, dialogues, history files."""

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
