from datetime import UTC, datetime
from itertools import pairwise

import pytest

from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item, part_of
from penchant_lab.measures.leaks import identifying, leak_finder, leaks, split_together, without_leaks

TITLE = "Café Tables: How Waiters Remember Orders"
ABSTRACT = (
    "Waiters keep long orders in mind although nobody writes them down. We watched forty of them for a month, asked "
    "what they recalled, and found that faces carry most of it. When guests swapped their chairs the orders were lost, "
    "which a simple model of places explains rather well. We discuss what that means for kitchens and for bars."
)
OTHER = "Cooks plan their evenings by the noise of the room, as we show with microphones in nine kitchens of one town."


def _left(record: Record, *texts: str, **more: object) -> bool:
    return without_leaks([record], texts=texts, **more) == [record]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "title",
    [
        TITLE,
        "cafe\u0301 tables how waiters remember orders",
        "CAFÉ  TABLES - how waiters\tremember orders!",
        "Café Ta\u00adbles: How Waiters Re-member Orders",
        "Ｃafé Tables： How Waiters Remember Orders",
    ],
)
def test_the_same_title_in_any_dress(title: str) -> None:
    assert not _left(Record(OTHER, reply=title), TITLE)
    assert not _left(Record(title), TITLE)
    assert not _left(Record(f"{title}\n{OTHER}"), TITLE)
    assert not _left(Record(OTHER, meta={"title": title}), TITLE)


def test_another_title_stays() -> None:
    assert _left(Record(OTHER, reply="Café Tables: How Waiters Forget Orders"), TITLE, ABSTRACT)
    assert _left(Record(OTHER, reply="How Waiters"), TITLE)


def test_a_short_text_counts_as_a_whole_only() -> None:
    assert not _left(Record(OTHER, reply="Join us!"), "Join us")
    assert _left(Record("They asked whether I would join us at four."), "Join us")
    assert _left(Record("a b c d e"), "a b c d")
    assert not identifying("three words only") and not identifying("a b c d") and identifying(TITLE)


def test_an_answer_inside_another_text() -> None:
    quoted = Record(f"As we wrote in “Café tables: how waiters remember orders”, {OTHER}")
    assert not _left(quoted, TITLE)
    assert _left(Record("Neural networks remember orders of café tables."), TITLE)
    assert not _left(Record(f"See Café Ta\u00adbles: How Waiters Remember Orders, and {OTHER}"), TITLE)
    # Words only as a whole.
    assert _left(Record("Now the catalogue keeps a cathedral warm."), "the catalogue keeps a cat")
    assert _left(Record("Breathe catalogue keeps a cat warm."), "the catalogue keeps a cat")


def test_nearly_the_same_abstract() -> None:
    changed = ABSTRACT.replace("forty", "42").replace("a month", "four weeks").replace("rather well", "")
    assert not _left(Record(changed, reply="Of Waiters"), ABSTRACT)
    assert not _left(Record(ABSTRACT[: len(ABSTRACT) // 2]), ABSTRACT)
    assert not _left(Record(f"{OTHER} {ABSTRACT} {OTHER}"), ABSTRACT)
    assert _left(Record(f"{OTHER} We discuss what that means for kitchens and for bars."), ABSTRACT)


def test_parts_of_a_series_are_different_posts() -> None:
    first = "Moving a whole team to another town without losing anybody, part 1 - why we went at all"
    assert _left(Record(OTHER, reply=first), first.replace("part 1 - why we went at all", "part 2 - how we packed"))


def test_time_and_identity() -> None:
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    records = [
        Record("before", when=datetime(2024, 5, 1, 11, 59)),
        Record("same", when=noon),
        Record("after", when=datetime(2025, 1, 1)),
        Record("whenever"),
        Record("itself", id="p1"),
    ]
    left = without_leaks(records, texts=[], before=noon, ids={"p1"})
    assert [record.text for record in left] == ["before", "whenever"]
    assert without_leaks(records, texts=[""], before=datetime(2024, 5, 1, 12)) == [records[0], *records[3:]]
    reason = leak_finder(texts=["same"], before=noon)
    assert "not before 2024-05-01T12:00" in str(reason(records[1]))
    assert reason(records[0]) is None


def test_texts_without_any_word() -> None:
    assert not _left(Record("🙂🙂"), "🙂🙂")
    assert _left(Record("!?"), "🙂🙂")


def _item(answer: str, *records: Record, choices: tuple[str, ...] = (), query: str = ABSTRACT, user: str = "u") -> Item:
    return Item(f"{user}/1", History(records, user), Request(query), answer, choices)


def test_what_a_right_item_looks_like() -> None:
    right = _item(TITLE, Record(OTHER, reply="Loud Kitchens"))
    assert leaks(right) == []
    wrong = _item(TITLE, Record(OTHER, id="a", reply=TITLE), Record(OTHER, id="b"), Record(ABSTRACT, id="c"))
    assert [line.split(": ")[:2] for line in leaks(wrong)] == [["u/1", "record a"], ["u/1", "record c"]]
    assert leaks(_item(TITLE, Record("x", when=datetime(2024, 1, 1))), before=datetime(2023, 1, 1, tzinfo=UTC))


def test_labels_may_stand_in_a_history_but_long_choices_not() -> None:
    assert leaks(_item("4", Record("4"), Record("A film", label=4.0), choices=("4", "5"))) == []
    options = (TITLE, "Loud Kitchens and How to Bear Them")
    assert len(leaks(_item(TITLE, Record(OTHER, reply=options[1]), choices=options))) == 1


def test_users_who_are_asked_the_same_stand_together() -> None:
    def asked(user: str, query: str) -> Item:
        return _item("yes", Record("r"), query=query, user=user)

    names = [f"user {n}" for n in range(12)]
    items = [asked(name, f"question of {name}") for name in names]
    items += [asked(a, f"shared by {a}") for a in names[:4]] + [
        asked(b, f"Shared by {a}!") for a, b in pairwise(names[:4])
    ]
    tune, test = split_together(items, "tune"), split_together(items, "test")
    assert len(tune) + len(test) == len(items) and tune and test
    assert split_together(items, "all") == items
    assert not {i.user for i in tune} & {i.user for i in test}
    together = {item.user: item in tune for item in items}
    assert len({together[name] for name in names[:4]}) == 1
    assert together[names[0]] == (part_of("user 0") == "tune")
    assert all(together[name] == (part_of(name) == "tune") for name in names[4:])
    # Else the shared questions would have been torn apart.
    assert len({part_of(name) for name in names[:4]}) == 2
