import itertools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant_lab.bench.items import Item, part_of
from penchant_lab.measures.leaks import leaks, normalised
from penchant_lab.tasks import styles
from penchant_lab.tasks.registry import find_task
from penchant_lab.tasks.style_voices import STYLES
from penchant_lab.tasks.styles import FEWEST_RECORDS, ITEMS, MOST_RECORDS, USERS_A_HALF, opposite

ALL = styles.items(None, 0)
IN_STYLE: dict[str, Callable[[str], bool]] = {
    "terse": lambda text: text.isupper() and len(text) < 140,
    "polite": lambda text: (
        170 < len(text) < 420 and text[0].isupper() and text.count(". ") >= 3 and not {"!", "\n"} & set(text)
    ),
    "dashes": lambda text: text.islower() and text.count(" - ") == 4,
    "exclaiming": lambda text: text.count("!") >= 5 and "." not in text,
    "points": lambda text: re.findall(r"^\d\.", text, re.MULTILINE) == ["1.", "2.", "3."] and text.count("\n") == 4,
}


def test_every_style_is_in_both_halves() -> None:
    users = {item.user: item.category for item in ALL}
    assert Counter((style, part_of(user)) for user, style in users.items()) == {
        (style, part): USERS_A_HALF for style in STYLES for part in ("tune", "test")
    }
    assert len(users) >= 24 and set(Counter(item.user for item in ALL).values()) == {ITEMS}
    task = find_task("styles", "title")
    tune, test = task.items(Path(), "tune"), task.items(Path(), "test")
    assert [len(tune), len(test)] == [len(ALL) // 2] * 2 and not {one.user for one in tune} & {one.user for one in test}


@pytest.mark.parametrize("style", IN_STYLE)
def test_replies_are_in_the_users_style_and_no_other(style: str) -> None:
    said = [text for item in ALL if item.category == style for text in _replies(item)]
    for name, fits in IN_STYLE.items():
        share = sum(map(fits, said)) / len(said)
        assert share == (name == style), (name, share, next(text for text in said if fits(text) != (name == style)))


def test_two_modes_are_told_apart_by_the_message() -> None:
    items = [item for item in ALL if item.category == "two-modes"]
    pairs = [(record.text, record.reply or "") for item in items for record in item.history]
    pairs += [(item.request.query, item.answer) for item in items]
    for text, reply in pairs:
        assert text.startswith(("Email from ", "Chat from "))
        assert IN_STYLE["polite" if text.startswith("Email") else "terse"](reply)
    for item in items:  # both modes are seen about as often
        modes = Counter(record.kind for record in item.history)
        assert set(modes) == {"mail", "chat"} and min(modes.values()) >= 0.4 * len(item.history)


def test_nothing_of_an_item_stands_in_its_history() -> None:
    for item in ALL:
        assert leaks(item) == []
        assert FEWEST_RECORDS <= len(item.history) <= MOST_RECORDS
        texts = [text for record in item.history for text in (record.text, record.reply or "")]
        assert not {normalised(item.request.query), normalised(item.answer)} & set(map(normalised, texts))
        messages = [record.text for record in item.history]
        assert len(set(messages)) == len(messages) == len({record.id for record in item.history})
    assert len({item.request.query for item in ALL}) == len(ALL) == len({item.id for item in ALL})


def test_a_reply_is_about_its_message() -> None:
    own = sum(_shared(item.request.query, item.answer) for item in ALL) / len(ALL)
    others = sum(_shared(a.request.query, b.answer) for a, b in itertools.pairwise(ALL)) / (len(ALL) - 1)
    assert own > 2 * others > 0


def test_texts_vary() -> None:
    words = {word for item in ALL for reply in _replies(item) for word in normalised(reply).split()}
    assert len(words) > 250
    for user in {item.user for item in ALL}:
        (first, *_) = [item for item in ALL if item.user == user]
        replies = [record.reply for record in first.history]
        assert len(set(replies)) >= 0.95 * len(replies)


def test_the_seed_decides() -> None:
    assert _texts(styles.items(None, 0)) == _texts(ALL)
    other = styles.items(None, 1)
    assert {item.user for item in other} == {item.user for item in ALL}
    assert len(_texts(other) & _texts(ALL)) < 0.05 * len(ALL)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(STYLES, 2)))
def test_opposite_users_are_written_the_same(first: str, second: str) -> None:
    for seed, records in ((0, 16), (5, 40)):
        one, other = opposite(first, second, records=records, questions=4, seed=seed)
        assert len(one[0].history) == len(other[0].history) == records and len(one) == len(other) == 4
        assert [record.text for record in one[0].history] == [record.text for record in other[0].history]
        assert [item.request for item in one] == [item.request for item in other]
        assert all(a.answer != b.answer or "two-modes" in (first, second) for a, b in zip(one, other, strict=True))
        assert [leaks(item) for item in (*one, *other)] == [[]] * 8


def test_wrong_wishes() -> None:
    with pytest.raises(InputError, match="style 'rude': expected one of terse, polite"):
        opposite("terse", "rude")
    for records, questions in ((0, 1), (1, 0), (100_000, 1)):
        with pytest.raises(InputError, match="expected 1 to 500 of each"):
            opposite(records=records, questions=questions)


def _replies(item: Item) -> list[str]:
    return [item.answer, *(record.reply or "" for record in item.history)]


def _texts(items: list[Item]) -> set[tuple[str, str]]:
    return {(item.request.query, item.answer) for item in items}


def _shared(message: str, reply: str) -> int:
    return len({word for word in normalised(message).split() if len(word) > 4} & set(normalised(reply).split()))
