"""LoCoMo (Maharana et al. 2024) as writing: what each of two people would answer, given their earlier answers."""

from __future__ import annotations

from pathlib import Path

from penchant.errors import InputError
from penchant.history.importers import locomo as importer
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item, Part
from penchant_lab.measures.leaks import without_leaks
from penchant_lab.tasks import locomo
from penchant_lab.tasks.task import WRITTEN, Task

TASK_WORDS = "Write my reply to the following message:"

FEWEST_EARLIER = 16
"""Replies that a person must have given before one is asked about."""


def items(path: Path, seed: int = 0) -> list[Item]:
    """Return an item for the last reply of each person, named "conversation/person"; nothing is drawn.

    Successive messages of one person are joined. The request is what the other person said and the answer is the reply.
    The history consists of the person's earlier replies (text: what was said to the person; reply), without any that
    gives the item away. The bench's `--held-out` makes further items.

    Raises `InputError` for another file.
    """
    made = []
    for user, pairs in _replies(path).items():
        last = pairs[-1]
        earlier = without_leaks(pairs[:-1], texts=(last.text, last.reply or ""), ids={last.id})
        if len(earlier) >= FEWEST_EARLIER:
            history, request = History(earlier, user), Request(last.text, TASK_WORDS)
            made.append(Item(f"{user}/{last.id}", history, request, last.reply or ""))
    if not made:
        raise InputError(
            f"{Path(path).name}: nobody gave {FEWEST_EARLIER} replies before the last one; take more turns"
        )
    return made


def split(items: list[Item], part: Part) -> list[Item]:
    """Return the items of a part, as task locomo does: the people of the first three conversations are for tuning."""
    order = list(dict.fromkeys(_conversation(item) for item in items))
    chosen = {"tune": order[: locomo.TUNING], "test": order[locomo.TUNING :], "all": order}[part]
    return [item for item in items if _conversation(item) in chosen]


def _conversation(item: Item) -> str:
    return item.user.rpartition("/")[0]


def _replies(path: Path) -> dict[str, list[Record]]:
    """Return each person's replies in time order. A session starts afresh: nobody answers what was said days before."""
    found: dict[str, list[Record]] = {}
    said: list[Record] = []
    session: tuple[str, object] | None = None
    for conversation, turn in importer.read(path):
        record = turn
        if session != (conversation, record.meta["session"]):
            said, session = [], (conversation, record.meta["session"])
        user = f"{conversation}/{record.meta['speaker']}"
        if said and said[-1].meta["speaker"] == record.meta["speaker"]:
            before = said.pop()
            text = f"{_words(before)} {_words(record)}"
            record = Record(f"{record.meta['speaker']}: {text}", before.id, when=before.when, meta=before.meta)
            if found.get(user) and found[user][-1].id == before.id:
                found[user].pop()
        if said:
            pair = Record(_words(said[-1]), record.id, reply=_words(record), when=record.when, kind="reply")
            found.setdefault(user, []).append(pair)
        said.append(record)
    return found


def _words(record: Record) -> str:
    """Return what was said, without the speaker's name that the importer puts in front."""
    return record.text.removeprefix(f"{record.meta['speaker']}: ")


TASK = Task(
    "locomo-replies",
    WRITTEN,
    items,
    ("rouge1", "rougeL", "meteor"),
    "what two people answer each other over months of chat (Maharana et al. 2024, arXiv 2402.17753)",
    max_new_tokens=48,
    split=split,
)
