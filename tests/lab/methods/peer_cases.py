"""A history for peers, and what is asked about it."""

from pathlib import Path
from typing import Any

from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes

REAL = Path(__file__).resolve().parents[3] / "src" / "penchant_lab" / "peers"
HISTORY = History(
    [
        Record("I am allergic to peanuts.", "r0", label=4.5),
        Record("She wrote three letters about the film.", "r1"),
        Record("The meeting is on Tuesday at ten, please bring the report.", "r2"),
    ],
    "ines",
)


def item(query: str = "What am I allergic to?", **given: Any) -> Item:
    return Item("i", HISTORY, Request(query), **{"answer": "peanuts", **given})


def run(method: Method, *items: tuple[Item, int]) -> tuple[list[Notes], int]:
    """The notes for each, and what is stored at the end."""
    with method.open(HISTORY, segment(HISTORY), 0) as session:
        return [session.notes(one, budget) for one, budget in items], session.stored_bytes()
