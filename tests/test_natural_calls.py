"""Calls as people write them: they work, or an `InputError` says in one line what was expected."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from penchant import History, Personalizer, Record, Request, Store
from penchant.arguments import checked, fits
from penchant.asked import Knowledge
from penchant.conversation.factory import ConversationFactory, ConversationOptions
from penchant.errors import InputError, PenchantError
from penchant.history.records import as_records
from penchant.steering.fit.trainer import FitOptions, fit_user
from tests.index.cases import calibration_of, lens_of, texts

TIME = datetime(2024, 1, 1, tzinfo=UTC)


class Frame:
    """What of a pandas data frame is used: the columns, and the rows as dictionaries."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.columns = list(rows[0])
        self._rows = rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return self._rows


class PolarsFrame:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[list[Any]]:
        return iter([list(one.values()) for one in self._rows])

    def to_dicts(self) -> list[dict[str, Any]]:
        return self._rows


@pytest.fixture(scope="module")
def personalizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Personalizer]:
    lens, place = lens_of(), tmp_path_factory.mktemp("natural") / "store"
    with Personalizer(lens.loaded, store=str(place), marker="attention", calibration=calibration_of(lens)) as made:
        assert made.store is not None
        made.store.add("ann", texts(6))
        yield made


@pytest.mark.parametrize("when", ["2024-01-01", "2024-01-01T00:00:00Z", date(2024, 1, 1), datetime(2024, 1, 1), TIME])
def test_a_time_is_a_datetime_a_date_or_a_text(when: datetime) -> None:
    assert Record("x", when=when).when == TIME


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": None}, "a record's text is None"),
        ({"text": 5}, "a record's text is 5"),
        ({"text": "x", "reply": 5}, "a record's reply is 5"),
        ({"text": "x", "id": None}, "a record's id is None"),
        ({"text": "x", "kind": 5}, "a record's kind is 5"),
        ({"text": "x", "label": []}, r"a record's label is \[\]"),
        ({"text": "x", "meta": []}, r"a record's meta is \[\]"),
        ({"text": "x", "when": 5}, "when: 5 is no time"),
        ({"text": "x", "when": "yesterday"}, "when: 'yesterday' is no ISO 8601 time"),
        ({"text": "x", "when": datetime.min}, None),
    ],
)
def test_a_record_of_wrong_types(fields: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert Record(**fields).when == datetime.min.replace(tzinfo=UTC)
    else:
        with pytest.raises(InputError, match=message):
            Record(**fields)


def test_numbers_of_numpy_are_numbers() -> None:
    assert type(Record("x", label=np.int64(4)).label) is int
    assert Record("x", label=np.float32(0.5)).content_hash() == Record("x", label=0.5).content_hash()


ROW = {"text": "A walk.", "when": "2024-01-01", "label": 4, "id": 7, "stars": np.int64(5), "seen": date(2024, 1, 2)}
ROW |= {"vector": np.array([1, 2]), "took": timedelta(1), "tags": ["a"]}
MORE = {"stars": 5, "seen": "2024-01-02", "vector": [1, 2], "took": "1 day, 0:00:00", "tags": ["a"]}
READ = Record("A walk.", "7", label=4, when=TIME, meta=MORE)
EMPTY = {"text": "A walk.", "when": float("nan"), "reply": None, "label": np.nan}


@pytest.mark.parametrize(
    ("given", "records"),
    [
        ("A walk.", [Record("A walk.")]),
        (Record("A walk."), [Record("A walk.")]),
        (ROW, [READ]),
        (["A walk.", ROW], [Record("A walk."), READ]),
        ((one for one in ["a", "b"]), [Record("a"), Record("b")]),
        (Frame([ROW, EMPTY]), [READ, Record("A walk.")]),
        (PolarsFrame([ROW]), [READ]),
        ({"a": "x"}.values(), [Record("x")]),
        (History(["a"]), [Record("a")]),
    ],
)
def test_whatever_holds_records(given: Any, records: list[Record]) -> None:
    assert list(as_records(given)) == records


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "None are no records"),
        (5, "5 are no records"),
        (b"text", "are no records"),
        ([5], r"item 1 \(5\) can't be a record"),
        (["a", {"title": "x"}], "item 2 .* no 'text' in it, only 'title'"),
        ({"text": ["a", "b"]}, "item 1 .* a record's text is"),
        ([{}], "only nothing"),
    ],
)
def test_what_holds_none(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        History(given)


def test_a_store_takes_them_too(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        assert store.add("u1", ["text", {"text": "b", "label": 2}]).added == 2
        assert store.add("u1", Frame([ROW])).added == 1
        assert store.add("u2", "one record").added == 1
        assert store.add_many([("u2", "another")]).added == 1
        assert [one.text for one in store.history("u2")] == ["one record", "another"]
        for pairs in ([5], ["ab"], [("u", "a", "b")], [(5, "a")]):
            with pytest.raises(InputError, match="expected pairs of a user's id and a record"):
                store.add_many(pairs)  # type: ignore[arg-type]
        assert store.count("u2") == 2


def test_a_history_in_place(personalizer: Personalizer) -> None:
    marks = personalizer.mark(["A walk by the sea.", "The tuner is Ms Lind."], "Who tunes?")
    assert [one.text for one in marks.segments] == ["A walk by the sea.", "The tuner is Ms Lind."]
    rows = Frame([{"text": one} for one in texts(4)])
    assert personalizer.compress(rows, "What?", 20).tokens <= 20
    answer = personalizer.ask((one for one in texts(4)), "What?", knowledge="full", max_tokens=2)
    assert answer.dropped_records == 0
    assert personalizer.compress("ann", "What?", np.int64(20)).budget == 20  # type: ignore[arg-type]


def test_a_personalizer_closes_the_store_that_it_opened(tmp_path: Path) -> None:
    lens = lens_of()
    with Personalizer(lens.loaded, store=tmp_path / "store", marker="recency") as made:
        assert made.store is not None
        made.store.add("ann", ["text"])
        assert len(made.mark("ann", "What?").segments) == 1
    with Store(tmp_path / "own") as own:
        with Personalizer(lens.loaded, store=own, marker="recency"):
            pass
        assert own.add("ann", ["text"]).added == 1


WRONG = [None, 5, 0.5, True, b"x", "x", "", [], [None], {}, object(), Record("x"), -1, float("nan"), lambda: None]


def _calls(thing: object) -> Iterator[tuple[str, Callable[..., Any], list[str]]]:
    for name, call in inspect.getmembers(thing, inspect.ismethod):
        if not name.startswith("_") and name not in ("close", "forget"):
            yield name, call, list(inspect.signature(call).parameters)


GOOD: Mapping[str, Any] = {
    "who": "ann",
    "request": "What?",
    "user": "ann",
    "name": "",
    "notes": None,
    "history": History(["a"]),
    "new": ["a"],
    "area": "a",
    "conversation": "c",
    "record": "r",
    "revision": 1,
    "tokenizer": "t",
    "tokens": 5,
    "text": "Hello.",
    "numbers": [],
    "query": "a",
}


def test_wrong_types_never_leak_pythons_errors(personalizer: Personalizer) -> None:
    """Every argument of every public call, with everything that it doesn't take."""
    assert personalizer.store is not None
    tried = 0
    for thing in (personalizer, personalizer.store, personalizer.conversation("ann", "one")):
        for name, call, parameters in _calls(thing):
            needed = [one for one in parameters if one in GOOD and one != "name"]
            extra = {"max_tokens": 2} if "max_tokens" in parameters else {}
            extra |= {"budget": 10} if "budget" in parameters else {}
            for parameter in [one for one in parameters if one not in ("options", "names")]:
                for wrong in WRONG:
                    given = {one: GOOD[one] for one in needed} | extra | {parameter: wrong}
                    try:
                        made = call(**given)
                        if isinstance(made, Iterator):
                            next(made, None)
                    except PenchantError as error:
                        assert "\n" not in str(error), (name, parameter, wrong)
                    tried += 1
    assert tried > 300


def test_an_unknown_argument(personalizer: Personalizer) -> None:
    with pytest.raises(InputError, match=r"compress has no option 'foo': its options are who, request, budget"):
        personalizer.compress("ann", "What?", foo=1)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="missing a required argument: 'request'"):
        personalizer.compress("ann")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="Personalizer has no option 'day': its options are store"):
        Personalizer("smollm2", day=False)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("value", "kind", "does"),
    [
        (5, int, True),
        (True, int, False),
        (np.int64(5), int, True),
        (5, float, True),
        (np.float32(5), float, True),
        ("5", float, False),
        (None, int | None, True),
        ("full", Knowledge, True),
        ("half", Knowledge, False),
        (["full"], Knowledge, False),
        (len, Callable[..., Any], True),
        (5, Callable[..., Any], False),
        (["a"], Sequence[str], True),
        (["a", None], Sequence[str], False),
        (b"ab", Sequence[int], True),
        ({1, 2}, Sequence[int], False),
        (object(), Any, True),
    ],
)
def test_what_fits(value: object, kind: Any, does: bool) -> None:
    assert fits(value, kind) is does


def test_checked_keeps_the_signature_and_the_documentation() -> None:
    @checked
    def add(one: int, *more: int, by: float = 1.0) -> float:
        """Add."""
        return (one + sum(more)) * by

    assert add.__doc__ == "Add." and list(inspect.signature(add).parameters) == ["one", "more", "by"]
    assert add(1, 2, by=2) == 6.0
    assert isinstance(add(np.int64(1), by=np.int64(2)), float)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="more 'x': expected int"):
        add(1, "x")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has no option 'bye': its options are by"):
        add(1, bye=2)  # type: ignore[call-arg]
    assert "profile" in get_args(Knowledge)
    assert Request("x").task is None


@pytest.mark.parametrize(("call", "options"), [(fit_user, FitOptions), (ConversationFactory.open, ConversationOptions)])
def test_typed_options_are_those_of_the_call(call: Callable[..., Any], options: type) -> None:
    keywords = [one for one in inspect.signature(call).parameters.values() if one.kind is one.KEYWORD_ONLY]
    hints = get_type_hints(call)
    assert get_type_hints(options) == {one.name: hints[one.name] for one in keywords}
