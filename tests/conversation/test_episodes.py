"""Episodes grow with their conversation, and are what they would be if made anew."""

from __future__ import annotations

from penchant.conversation.episodes import CONVERSATIONS, EpisodeCache, Episodes
from penchant.history.dialogue import Exchange, Turn
from tests.conversation.dialogues import dialogue_of

PAIRS = [("Tea? Or milk?", "Tea. It is warm. It is cheap."), ("The sea.", None), ("More?", "Yes. No.")]


def same(one: Episodes, other: Episodes) -> bool:
    return (
        one.history.records == other.history.records
        and tuple(one.segments) == tuple(other.segments)
        and one.first_segments.tolist() == other.first_segments.tolist()
    )


def made(past: tuple[Exchange, ...]) -> Episodes:
    episodes = Episodes("k")
    episodes.update(past)
    return episodes


def test_segments_of_each_side() -> None:
    episodes = made(dialogue_of(PAIRS).past)
    texts = [segment.text for segment in episodes.segments]
    assert texts == ["Tea?", "Or milk?", "Tea.", "It is warm.", "It is cheap.", "The sea.", "More?", "Yes.", "No."]
    assert episodes.first_segments.tolist() == [0, 5, 6]
    sides = [(at, answer, list(episodes.segments_of(at, answer))) for at in range(3) for answer in (False, True)]
    assert sides == [
        (0, False, [0, 1]), (0, True, [2, 3, 4]), (1, False, [5]), (1, True, []), (2, False, [6]), (2, True, [7, 8]),
    ]  # fmt: skip


def test_grown_step_by_step_is_as_made_at_once_and_keeps_what_it_had() -> None:
    past = dialogue_of(PAIRS).past
    episodes = made(past[:1])
    before = episodes.history.records
    episodes.update(past)
    assert same(episodes, made(past))
    assert all(a is b for a, b in zip(before, episodes.history.records, strict=False))


def test_an_answer_that_comes_later_and_turns_that_are_gone() -> None:
    past = dialogue_of(PAIRS).past
    answered = Exchange(1, past[1].user, Turn(9, "assistant", "Blue."))
    episodes = made(past[:2])
    for now in ((past[0], answered), (past[0], answered, past[2]), past[1:], (), past):
        episodes.update(now)
        assert same(episodes, made(now))


def test_conversations_are_held_by_their_key_and_the_oldest_goes() -> None:
    opened = EpisodeCache()
    first = opened.of(dialogue_of(PAIRS, key="a"))
    assert opened.of(dialogue_of(PAIRS, key="a")) is first
    nameless = dialogue_of(PAIRS)
    assert opened.of(nameless) is not opened.of(nameless)
    opened.forget("a")
    second = opened.of(dialogue_of(PAIRS, key="a"))
    assert second is not first
    for number in range(CONVERSATIONS):
        opened.of(dialogue_of(PAIRS, key=f"k{number}"))
    assert opened.of(dialogue_of(PAIRS, key="a")) is not second
