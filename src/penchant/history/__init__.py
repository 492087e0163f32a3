"""What a user did: records, segments, the store, and importers."""

from penchant.history.jsonl import load_history, read_records, write_records
from penchant.history.records import History, Record, Request, Segment
from penchant.history.segmentation import segment, segment_record
from penchant.history.store import Counts, ErasureReceipt, Store, UserEntry, default_store

__all__ = [
    "Counts",
    "ErasureReceipt",
    "History",
    "Record",
    "Request",
    "Segment",
    "Store",
    "UserEntry",
    "default_store",
    "load_history",
    "read_records",
    "segment",
    "segment_record",
    "write_records",
]
