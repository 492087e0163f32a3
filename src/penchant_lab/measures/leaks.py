"""The leak guard of every task: an item's history must contain no part of the item."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from penchant.history.records import Record
from penchant_lab.bench.items import Item, Part, part_of

#: A text with fewer words or characters is too short to be searched for inside others; whole texts are still compared.
IDENTIFYING_WORDS = 4
IDENTIFYING_CHARACTERS = 16

#: Two texts count as near-duplicates if this share of the shorter one's shingles occurs in the other.
NEAR_DUPLICATE = 0.5
SHINGLE_WORDS = 4
#: Shorter texts (titles of a series, formulas) are often similar but different.
FEWEST_SHINGLES = 20

#: Texts that are kept prepared: the same record is looked at once for every item of its user.
_CACHED = 4096


def without_leaks(
    records: Iterable[Record], *, texts: Iterable[str], before: datetime | None = None, ids: Collection[str] = ()
) -> list[Record]:
    """The records that hold nothing of a test item, in their order.

    texts: what the item consists of, its input and every answer that counts as right. A short label ("comedy", "4")
    isn't one of them: other records may rightly have the same one. before: the item's time; a record of that time or
    later is dropped, one without a time stays. ids: of records that are the item itself.

    Dropped is a record of which the text, the reply, the body, a line, or a text in `meta` equals one of the texts but
    for case, punctuation, spaces and Unicode form; one that holds a text of at least `IDENTIFYING_WORDS` words
    verbatim; and one that is nearly the same (`NEAR_DUPLICATE`).
    """
    reason = leak_finder(texts=texts, before=before, ids=ids)
    return [record for record in records if reason(record) is None]


def leak_finder(
    *, texts: Iterable[str], before: datetime | None = None, ids: Collection[str] = ()
) -> Callable[[Record], str | None]:
    """Return a function that says in one line why a record reveals the item, or None. Arguments: see
    `without_leaks`.
    """
    wanted = [text for text in dict.fromkeys(texts) if text.strip()]
    whole = {_compact(text): text for text in wanted}
    inside = {f" {normalised(text)} ": text for text in wanted if identifying(text)}
    shingled = [(_shingles(text), text) for text in wanted if len(_shingles(text)) >= FEWEST_SHINGLES]
    time = before.replace(tzinfo=UTC) if before is not None and before.tzinfo is None else before

    def reason(record: Record) -> str | None:
        if record.id in ids:
            return "it is the item itself"
        if time is not None and record.when is not None and record.when >= time:
            return f"its time is {record.when.isoformat()}, not before {time.isoformat()}"
        parts = _parts(record.body, record.text, record.reply or "", _texts(record.meta))
        if equal := parts & whole.keys():
            return f"it says {_short(whole[min(equal)])}"
        body = f" {normalised(record.body)} "
        for key, text in inside.items():
            if key in body:
                return f"it holds {_short(text)}"
        for shingles, text in shingled:
            if (share := _overlap(shingles, _shingles(record.body))) >= NEAR_DUPLICATE:
                return f"it is nearly {_short(text)} ({share:.0%} of the shingles)"
        return None

    return reason


def leaks(item: Item, before: datetime | None = None) -> list[str]:
    """Return one line for every record of the item's history that reveals the item: none, if the task is correct.

    Looked for are the request and the answers (`answer`, `references`; of choices those that are identifying, for a
    class or a rating may stand in a history), and records not before `before`. Not for tasks whose history is meant
    to hold the answer (questions about a conversation).
    """
    answers = [text for text in item.choices if identifying(text)] or [item.answer, *item.references]
    reason = leak_finder(texts=[item.request.query, *([] if _labels(item) else answers)], before=before)
    return [f"{item.id}: record {record.id}: {why}" for record in item.history if (why := reason(record)) is not None]


def split_together(items: list[Item], part: Part) -> list[Item]:
    """The items of a part, where users who are asked the same (two authors of one paper) belong to the same part:
    that of the first of them by name. For `Task.split`."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := leader.setdefault(name, name)) != name:
            name = above
        return name

    asked: dict[str, str] = {}
    for item in items:
        first, second = sorted((find(item.user), find(asked.setdefault(_compact(item.request.query), item.user))))
        leader[second] = first
    return [item for item in items if part in ("all", part_of(find(item.user)))]


def identifying(text: str) -> bool:
    """Whether a text is long enough that its occurrence in another one isn't chance."""
    words = normalised(text)
    return words.count(" ") + 1 >= IDENTIFYING_WORDS and len(words) >= IDENTIFYING_CHARACTERS


@lru_cache(maxsize=_CACHED)
def normalised(text: str) -> str:
    """Lower-case words with one space between them: without punctuation, invisible characters and differences of
    Unicode form (NFKC). A text of nothing but punctuation stays as it is."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    visible = folded if folded.isascii() else "".join(c for c in folded if unicodedata.category(c) != "Cf")
    return re.sub(r"[\W_]+", " ", visible).strip() or folded.strip()


def _labels(item: Item) -> bool:
    return bool(item.choices) and not any(identifying(choice) for choice in item.choices)


def _texts(meta: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(value for value in meta.values() if isinstance(value, str))


@lru_cache(maxsize=_CACHED)
def _parts(body: str, text: str, reply: str, meta: tuple[str, ...]) -> frozenset[str]:
    """What of a record is compared as a whole: the texts themselves, and every line (a title above an abstract)."""
    return frozenset(_compact(part) for part in (body, text, reply, *meta, *body.splitlines()) if part.strip())


def _overlap(first: frozenset[int], second: frozenset[int]) -> float:
    fewer = min(len(first), len(second))
    return len(first & second) / fewer if fewer >= FEWEST_SHINGLES else 0.0


def _compact(text: str) -> str:
    return normalised(text).replace(" ", "")


@lru_cache(maxsize=_CACHED)
def _shingles(text: str) -> frozenset[int]:
    words = normalised(text).split()
    return frozenset(hash(tuple(words[at : at + SHINGLE_WORDS])) for at in range(len(words) - SHINGLE_WORDS + 1))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
