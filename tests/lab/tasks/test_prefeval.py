import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant_lab.bench.items import part_of
from penchant_lab.measures.leaks import leaks
from penchant_lab.tasks.prefeval import CHOICE_TASK, DISTANCES, EXPLICIT_TASK, PERSONA_TASK, Kind, items
from penchant_lab.tasks.registry import TASKS
from penchant_lab.tasks.task import Task

KINDS: tuple[Kind, ...] = ("explicit", "choice", "persona")
TOPIC = "garden_tools"
CHOICE_FILE = f"implicit_preference/choice-based/{TOPIC}.json"
PERSONA_FILE = f"implicit_preference/persona-driven/{TOPIC}.json"
MCQ_FILE = f"mcq_options/{TOPIC}.json"


def _question(number: int) -> dict[str, Any]:
    return {
        "preference": f"I never use petrol engines number {number}.",
        "question": f"Which mower suits lawn {number}?",
        "explanation": "Petrol is out.",
        "classification_task_options": [f"{kind} mower {number}." for kind in ("Hand", "Petrol", "Diesel", "Turbo")],
    }


def _choice(number: int) -> dict[str, Any]:
    said = {
        "query": f"What trims hedge {number}?",
        "assistant_options": "Shears or a petrol trimmer.",
        "user_selection": "The shears, I can't stand engines.",
        "assistant_acknowledgment": "Shears it is.",
    }
    return _question(number) | {"conversation": said, "options": ["shears", "trimmer"]}


def _persona(number: int) -> dict[str, Any]:
    said = {
        "0": {"user": f"Hello from garden {number}.", "assistant": "Hello!"},
        "1": {"user": "I work without engines, by the way.", "assistant": "Noted."},
        "2": {"user": "When do tulips flower?", "assistant": "In spring."},
    }
    return _question(number) | {"conversation": said, "persona": "a gardener"}


def _distractor(number: int) -> dict[str, Any]:
    turns = [
        {"role": role, "content": f"{role} {number} says {turn}"}
        for turn in range(number % 3 + 1)
        for role in ("user", "assistant")
    ]
    return {"conversation_id": f"talk{number}", "conversation": turns}


def _write(folder: Path, name: str, rows: Any) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, row in ((MCQ_FILE, _question), (CHOICE_FILE, _choice), (PERSONA_FILE, _persona)):
        _write(tmp_path, name, [row(number) for number in range(40)])
    _write(tmp_path, "filtered_inter_turns.json", [_distractor(number) for number in range(14)])
    return tmp_path


def test_the_preference_is_told_first_and_whole_conversations_follow(folder: Path) -> None:
    found = items("explicit", folder)
    assert [item.id for item in found[:4]] == [f"{TOPIC}/0/0", f"{TOPIC}/0/5", f"{TOPIC}/0/10", f"{TOPIC}/1/0"]
    assert [item.category for item in found[:3]] == ["0", "5", "10"]
    near, middle, far = found[:3]
    assert {item.user for item in found[:3]} == {f"{TOPIC}/0"}
    assert near.request.query == "Which mower suits lawn 0?"
    assert near.answer == "Hand mower 0."
    assert sorted(near.choices) == sorted(_question(0)["classification_task_options"])
    assert near.choices == middle.choices == far.choices
    (record,) = near.history
    assert (record.text, record.reply) == ("I never use petrol engines number 0.", None)
    assert near.evidence == middle.evidence == far.evidence == (record.id,)
    assert middle.history[0] == far.history[0] == record
    assert far.history.records[: len(middle.history)] == middle.history.records
    for item, distance in ((middle, 5), (far, 10)):
        talks = [other.id.split(":")[0] for other in item.history.records[1:]]
        assert len(set(talks)) == distance
        for talk in set(talks):  # whole, in order, without anything between
            number = int(talk.removeprefix("talk"))
            start = talks.index(talk)
            exchanges = item.history.records[1 + start : 1 + start + number % 3 + 1]
            assert [(e.text, e.reply) for e in exchanges] == [
                (f"user {number} says {turn}", f"assistant {number} says {turn}") for turn in range(number % 3 + 1)
            ]
            assert talks.count(talk) == number % 3 + 1


def test_implicit_preferences_are_told_in_their_own_conversation(folder: Path) -> None:
    chosen = items("choice", folder)[0]
    assert [(record.text, record.reply) for record in chosen.history] == [
        ("What trims hedge 0?", "Shears or a petrol trimmer."),
        ("The shears, I can't stand engines.", "Shears it is."),
    ]
    assert chosen.evidence == (chosen.history[1].id,)
    mentioned = items("persona", folder)[0]
    assert [record.text for record in mentioned.history] == [
        turn["user"] for turn in _persona(0)["conversation"].values()
    ]
    assert [record.reply for record in mentioned.history] == ["Hello!", "Noted.", "In spring."]
    assert mentioned.evidence == ()


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_draws_options_and_conversations(folder: Path, kind: Kind) -> None:
    first, again, other = items(kind, folder, 0), items(kind, folder, 0), items(kind, folder, 1)
    assert len(first) == 40 * len(DISTANCES)

    def told(found: list[Any]) -> list[Any]:
        return [(item.id, item.choices, item.answer, item.history.records) for item in found]

    assert told(first) == told(again)
    places = Counter(item.choices.index(item.answer) for item in first if item.category == "0")
    assert set(places) == {0, 1, 2, 3} and max(places.values()) < 25
    drawn = [[item.history.records for item in found if item.category == "5"] for found in (first, other)]
    assert sum(a != b for a, b in zip(*drawn, strict=True)) > 35
    assert sum(a.choices != b.choices for a, b in zip(first, other, strict=True)) > 80
    assert len({records[-1].id for records in drawn[0]}) > 5  # each preference has its own conversations


def test_a_preference_whose_history_holds_an_option_is_left_out(folder: Path) -> None:
    rows = [_choice(number) for number in range(40)]
    rows[3]["conversation"]["assistant_options"] = "Either shears or the good old hand mower with steel blades."
    questions = [_question(number) for number in range(40)]
    questions[3]["classification_task_options"][0] = "The good old hand mower with steel blades."
    _write(folder, CHOICE_FILE, rows)
    _write(folder, MCQ_FILE, questions)
    assert {item.user for item in items("choice", folder)} == {f"{TOPIC}/{n}" for n in range(40) if n != 3}
    assert len(items("explicit", folder)) == 120


def _cut(folder: Path, name: str) -> None:
    file = folder / name
    file.write_text(file.read_text(encoding="utf-8")[:-200], encoding="utf-8")


@pytest.mark.parametrize("name", [MCQ_FILE, CHOICE_FILE, "filtered_inter_turns.json"])
def test_a_truncated_file_is_named_with_the_position(folder: Path, name: str) -> None:
    _cut(folder, name)
    with pytest.raises(InputError, match=rf"{Path(name).name}.*line 1 column"):
        items("choice", folder)


def _options(*options: Any) -> list[dict[str, Any]]:
    return [_question(0), _question(1) | {"classification_task_options": list(options)}]


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (MCQ_FILE, _options("a", "b", "c"), r"garden_tools\.json item 2: classification_task_options.*4 different"),
        (MCQ_FILE, _options("a", "b", "c", "d", "e"), "item 2.*4 different"),
        (MCQ_FILE, _options("a", "b", "c", "c"), "item 2.*4 different"),
        (MCQ_FILE, _options("a", "b", "c", None), "item 2.*4 different"),
        (MCQ_FILE, [{"question": "Q?"}], "item 1: no text in 'preference'"),
        (MCQ_FILE, {"question": "Q?"}, "expected a list of objects"),
        (CHOICE_FILE, [_choice(number) for number in range(39)], "39 preferences for 40 questions"),
        (CHOICE_FILE, [_choice(number + 1) for number in range(40)], "item 1: another preference"),
        (CHOICE_FILE, [_question(number) for number in range(40)], "item 1: no 'conversation'"),
        (CHOICE_FILE, [_persona(number) for number in range(40)], "item 1: no text in 'query'"),
        ("filtered_inter_turns.json", [_distractor(n) for n in range(9)], "9 conversations; expected at least 10"),
        ("filtered_inter_turns.json", [{"conversation": [{"role": "assistant", "content": "x"}]}], "item 1: an answer"),
        ("filtered_inter_turns.json", [{"conversation": [{"role": "tool", "content": "x"}]}], "item 1: a turn has"),
        ("filtered_inter_turns.json", [{"conversation": [{"role": "user"}]}], "item 1: no text in 'content'"),
    ],
)  # fmt: skip
def test_damaged_data_is_named_with_the_position(folder: Path, name: str, rows: Any, message: str) -> None:
    _write(folder, name, rows)
    with pytest.raises(InputError, match=message):
        items("choice", folder)


@pytest.mark.parametrize("missing", [MCQ_FILE, "filtered_inter_turns.json"])
def test_another_folder_is_refused(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(InputError, match="no PrefEval folder"):
        items("explicit", folder)


def test_tasks_are_registered() -> None:
    for kind, task in zip(KINDS, (EXPLICIT_TASK, CHOICE_TASK, PERSONA_TASK), strict=True):
        assert TASKS[f"prefeval-{kind}"] is task
        assert task.seeded and task.metrics == ("accuracy",) and task.benches == ("preference",)


@pytest.mark.data
@pytest.mark.parametrize(("task", "fewest"), [(EXPLICIT_TASK, 660), (CHOICE_TASK, 620), (PERSONA_TASK, 660)], ids=KINDS)
def test_prefeval_has_no_leak(shared_data: Path, task: Task, fewest: int) -> None:
    folder = shared_data / "prefeval"
    tune, test = (task.items(folder, part, 0) for part in ("tune", "test"))
    # Of 666 preferences; a few are left out since their history says an option.
    assert fewest <= (len(tune) + len(test)) / len(DISTANCES) <= 666
    assert len(tune) > 850 and len(test) > 950
    assert not {item.user for item in tune} & {item.user for item in test}
    assert {part_of(item.user) for item in test} == {"test"}
    places = Counter(item.choices.index(item.answer) for item in test if item.category == "0")
    assert len(places) == 4 and min(places.values()) > 0.18 * sum(places.values())
    assert {category: count * 3 for category, count in Counter(i.category for i in test).items()} == dict.fromkeys(
        ("0", "5", "10"), len(test)
    )
    for item in test:
        telling = [record.id.startswith("preference:") for record in item.history]
        assert telling[0] and telling == sorted(telling, reverse=True)  # all of it before all distractors
        assert len({record.id for record in item.history}) == len(item.history)
        assert set(item.evidence) <= {record.id for record in item.history}
        assert item.request.query not in "".join(record.body for record in item.history)
    for item in [item for item in test if item.category == "0"] + [item for item in test if item.category == "10"][
        ::40
    ]:
        assert not leaks(item)
