"""What `penchant chat` shows, from what it is given (`cli/chat_views.py`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import RenderableType

from penchant.cli import chat_views as views
from penchant.cli.chat_session import LastAnswer
from penchant.compression.profile import Profile
from penchant.conversation.answers import ChatAnswer
from penchant.conversation.context import Context, How, Inclusion, Why
from penchant.history.dialogue import Exchange, Instruction, Turn, exchanges
from penchant.history.records import History, Record, Segment
from penchant.history.supersession import STATEMENT

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
BELL = "ring\x07 [bold]the bell[/]"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


def rows(capsys: pytest.CaptureFixture[str], *parts: RenderableType) -> list[str]:
    """The lines that are shown, with single spaces."""
    capsys.readouterr()
    views.show(*parts)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def talk(count: int) -> tuple[Exchange, ...]:
    turns = [
        Turn(n, "assistant" if n % 2 else "user", f"{'answer' if n % 2 else 'turn'} {n}") for n in range(2 * count)
    ]
    return exchanges(turns)


def last(kept: list[Inclusion], **changes: object) -> LastAnswer:
    context = Context((), 50, 200, inclusions=tuple(kept), seconds={"mark": 0.25}, **changes)  # type: ignore[arg-type]
    return LastAnswer(ChatAnswer("fine", 9, context, seconds={"answer": 1.5}), talk(len(kept)))


def test_why_names_every_exchange_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    given: list[tuple[How, Why, float | None]] = [
        ("raw", "first", None), ("compressed", "retrieved", 0.61), ("user-only", "method", None),
        ("dropped", "unlike", 0.2), ("dropped", "budget", 0.7), ("raw", "recent", None),
    ]  # fmt: skip
    kept = [Inclusion(n, how, why, like, assistant=((0, 4),)) for n, (how, why, like) in enumerate(given)]
    shown = rows(capsys, *views.why(last(kept, tokens_fed=77), "tea"))
    for row in (
        "0 raw the first exchange turn 0",
        "2 compressed, 50% of the answer similar to the question 0.61 turn 2",
        "4 user-only chosen by the method turn 4",
        "6 dropped not similar to the question 0.20 turn 6",
        "8 dropped no room 0.70 turn 8",
        "10 raw one of the last exchanges turn 10",
    ):
        assert row in shown
    assert "50 of 200 tokens (25%); 77 went through the model to choose them" in shown[0]
    assert shown[-1] == "seconds mark 0.25 s · answer 1.50 s"


def test_why_counts_the_dropped_ones_of_a_long_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    kept = [Inclusion(n, "dropped", "budget" if n < 3 else "unlike", 0.1) for n in range(40)]
    kept[7] = Inclusion(7, "raw", "retrieved", 0.9)
    shown = rows(capsys, *views.why(last(kept), "tea"))
    assert "14 raw similar to the question 0.90 turn 14" in shown
    assert "39 exchanges dropped: 36 not similar to the question, 3 no room" in shown
    assert not any(" dropped unlike" in line for line in shown)


def test_why_shows_notes_instructions_and_what_had_no_room(capsys: pytest.CaptureFixture[str]) -> None:
    notes = Profile("x", 1, 9, 90, (Segment(0, "r7", 0, 4, BELL),), (0.8,), "bm25", "extractive")
    stands = Instruction("a", "Be brief.", "tea", turn=2, added=NOW)
    shown = rows(capsys, *views.why(last([], notes=notes, instructions=(stands,), left_out=(stands,)), "tea"))
    assert any(line.startswith("0.80 ring [bold]the bell[/]") for line in shown)
    assert "record r7" in shown
    assert "1 Be brief." in shown
    assert "left out for lack of room: 1 instruction" in shown


def test_instructions(capsys: pytest.CaptureFixture[str]) -> None:
    stands = Instruction("a", "Be brief.", "tea", turn=2, scope="always", added=NOW)
    until = Instruction("b", "Speak Dutch.", "tea", scope="until", until="until Friday", added=NOW)
    other = Instruction("c", "Be kind.", "coffee", turn=0, scope="always", added=NOW)
    old = Instruction("d", "Be long.", "tea", turn=0, added=NOW, ended=NOW, ended_by="a")
    over = Instruction("e", "Sing.", "tea", turn=1, added=NOW, ended=NOW, ended_by="until")
    told = Instruction("f", "Hum.", "tea", turn=1, added=NOW, ended=NOW, ended_by="user")
    known = (old, over, told, stands, until, other)
    shown = rows(capsys, views.instructions((stands, until, other), "tea"))
    at = views.moment(NOW)
    assert shown == [
        "1 Be brief.", f"always · given {at} in turn 2",
        "2 Speak Dutch.", f"until Friday · given {at} by you",
        "3 Be kind.", f"always · given {at} in turn 0 of coffee",
    ]  # fmt: skip
    everything = rows(capsys, views.instructions((stands, until, other), "tea", known))
    assert everything[:6] == shown
    assert everything[6:] == [
        "Be long.", f"this conversation · given {at} in turn 0 · ended {at} by “Be brief.”",
        "Sing.", f"this conversation · given {at} in turn 1 · ended {at} because its time had come",
        "Hum.", f"this conversation · given {at} in turn 1 · ended {at} by you",
    ]  # fmt: skip
    assert rows(capsys, views.instructions((), "tea")) == ["no standing instructions"]


def test_history_marks_what_is_missing_and_what_was_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    turns = [
        Turn(0, "user", "one"), Turn(2, "user", BELL), Turn(3, "assistant", "half", finish="interrupted"),
        Turn(4, "user", "last"),
    ]  # fmt: skip
    shown = rows(capsys, *views.history(turns))
    assert shown == [
        "0 › one", "(the answer is missing)", "2 › ring [bold]the bell[/]", "3 half (stopped)", "4 › last",
        "(the answer is missing)",
    ]  # fmt: skip
    assert rows(capsys, *views.history(turns, 2)) == shown[-2:]


def test_facts_say_what_took_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    def said(name: str, text: str, value: str, conversation: str, days: int) -> Record:
        meta = {"conversation": conversation, "turn": days, "about": "residence", "value": value}
        return Record(text, id=name, kind=STATEMENT, when=NOW + timedelta(days=days), meta=meta)

    records = History(
        [said("a", "I live in Porto.", "porto", "tea", 0), said("b", "I live in Oslo now.", "oslo", "tea", 2),
         said("c", "I live in Rome now.", "rome", "coffee", 4), Record("A review.", id="r")]
    )  # fmt: skip
    when = [views.moment(NOW + timedelta(days=days)) for days in (2, 4)]
    assert rows(capsys, views.facts(records, "tea")) == [
        "0 I live in Porto.", f"residence · until {when[0]}, then “I live in Oslo now.” · record a",
        "2 I live in Oslo now.", f"residence · until {when[1]}, then “I live in Rome now.” · record b",
    ]  # fmt: skip
    assert rows(capsys, views.facts(records, "coffee")) == ["4 I live in Rome now.", "residence · current · record c"]
    alone = History([said("a", "I live in Porto.", "porto", "tea", 0)])
    assert rows(capsys, views.facts(alone, "tea"))[1] == "residence · current · record a"
    assert rows(capsys, views.facts(records, "x")) == ["nothing was learned in this conversation"]


@pytest.mark.parametrize("width", [20, 40])
def test_a_narrow_window_loses_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    one = Instruction("a", "Always answer with a haiku about 東京.", "tea", turn=2, added=NOW)
    capsys.readouterr()
    views.show(views.instructions((one,), "tea"))
    out = capsys.readouterr().out
    assert "".join(one.text.split()) in "".join(out.split()).replace("1Always", "Always")
