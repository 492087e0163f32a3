"""Made-up dialogues: drawn by the seed alone, answers nowhere but in the evidence, a good answer passes the check."""

from collections import Counter

import pytest

from penchant.history.dialogue import exchanges
from penchant_lab.bench.dialogues import STANDING, turns_of
from penchant_lab.bench.items import Item
from penchant_lab.bench.journal import digest_of
from penchant_lab.tasks import dialogues
from penchant_lab.tasks.insertions import ANSWERED, FACTS, KINDS

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def made() -> dict[int, list[Item]]:
    return {seed: dialogues.TASK.items(None, "all", seed) for seed in SEEDS}  # type: ignore[arg-type]


def by_user(items: list[Item]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.user, []).append(item)
    return found


def test_the_same_seed_gives_the_same_items_and_another_one_others(made: dict[int, list[Item]]) -> None:
    again = dialogues.items(None, 0)
    assert digest_of(again) == digest_of(made[0]) != digest_of(made[1])
    assert {item.user for item in made[0]} == {item.user for item in made[1]}


@pytest.mark.parametrize("seed", SEEDS)
def test_both_halves_have_their_dialogues_of_all_lengths(made: dict[int, list[Item]], seed: int) -> None:
    for half in ("tune", "test"):
        items = dialogues.TASK.split(made[seed], half)  # type: ignore[arg-type]
        sizes = {item.user: len(item.history) for item in items}
        assert len(sizes) == dialogues.A_HALF
        assert (min(sizes.values()), max(sizes.values())) == (dialogues.FEWEST_TURNS, dialogues.MOST_TURNS)
        assert all(6 <= len(some) <= 7 for some in by_user(items).values())
        counts = Counter(item.category for item in items)
        assert counts["constraint, changed"] == 2 * dialogues.A_HALF // 3
        assert counts["constraint"] == 2 * dialogues.A_HALF - counts["constraint, changed"]
        assert counts["fact, answer"] == dialogues.A_HALF


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fact_stands_in_its_turn_and_nowhere_else(made: dict[int, list[Item]], seed: int) -> None:
    for item in made[seed]:
        if item.category.startswith("fact"):
            (name,), (value,) = item.evidence, item.quotes
            said = {record.id for record in item.history if value.casefold() in record.text.casefold()}
            assert said == {name}
            turn = item.history[int(name[1:])]
            assert turn.kind == ("assistant" if item.category == "fact, answer" else "user")
            assert value.casefold() not in f"{item.request.query} {item.given}".casefold()
            assert item.answer.strip().casefold() == value.casefold()
            assert int(name[1:]) < len(item.history) - 2 * dialogues.RECENT


@pytest.mark.parametrize("seed", SEEDS)
def test_the_instruction_stands_in_turn_1_or_its_change_does(made: dict[int, list[Item]], seed: int) -> None:
    for some in by_user(made[seed]).values():
        asked = next(item for item in some if item.check is not None)
        standing = [record.id for record in asked.history if record.meta.get(STANDING)]
        assert standing == list(asked.evidence)
        turn = int(standing[0][1:])
        assert (turn == 0) == (asked.category == "constraint")
        (phrase,) = asked.quotes
        assert phrase in asked.history[turn].text
        if asked.category == "constraint, changed":
            assert phrase not in " ".join(record.text for record in list(asked.history)[:turn])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_assistant_complies_and_the_scored_answer_does(made: dict[int, list[Item]], seed: int) -> None:
    for some in by_user(made[seed]).values():
        asked = next(item for item in some if item.check is not None)
        assert asked.check is not None
        past = exchanges(turns_of(asked.history))
        since = int(asked.evidence[0][1:]) // 2
        answers = [one.assistant.text for one in past if one.assistant is not None]
        assert len(answers) == len(past)
        assert all(asked.check.holds(text) for text in answers[since:])
        if asked.category == "constraint, changed":
            assert not any(asked.check.holds(text) for text in answers[:since])
        if asked.answer:
            assert asked.check.holds(asked.given + asked.answer)
        elif asked.check.kind in ("upper", "lower"):
            assert all(asked.check.holds(one.given + one.answer) for one in some if one.check is None)


def test_with_drift_the_assistant_stops_complying() -> None:
    for some in by_user(dialogues.items(None, 0, drift=True)).values():
        asked = next(item for item in some if item.check is not None)
        if asked.category == "constraint" and asked.check is not None and asked.check.kind in ("end", "start"):
            past = exchanges(turns_of(asked.history))
            holds = [asked.check.holds(one.assistant.text) for one in past if one.assistant is not None]
            third = len(past) // 3
            assert all(holds[:third])
            assert not any(holds[third:])


def test_what_is_planted_can_be_said() -> None:
    for kind in KINDS:
        assert all(("{p}" in wording) == bool(kind.phrases[0]) for wording in kind.wordings)
        assert all("{p}" in change for change in kind.changes)
        assert len(kind.phrases) > 1 or not kind.changes
    for fact in (*FACTS, *ANSWERED):
        assert all("{x}" in wording for wording in fact.wordings)
        assert len(set(fact.values)) == len(fact.values) > 4
