import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import leaks, normalised
from penchant_lab.tasks.lamp import CATEGORIES, TAGS, anthology_time, gold_outputs
from penchant_lab.tasks.registry import TASKS
from penchant_lab.tasks.task import Task

CITE = (
    'For an author who has written the paper with the title "Bees at Night", which reference is related? Just answer '
    'with [1] or [2] without explanation. [1]: "Moths and Lamps" [2]: "Roofs of "Old" Barns"'
)
TAG = (
    "Which tag does this movie relate to among the following tags? Just answer with the tag name without further "
    "explanation. tags: [{}] description: "
)
INPUTS = {
    "1": CITE,
    "2": TAG.format(", ".join(TAGS)) + "A cook opens a bar: and fails.",
    "2N": "Which category does this article relate to among the following categories? categories: [x] article: Rain.",
    "3": "What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, or 5 without "
    "further explanation. review: Good pan, bad lid. My first review: bad.",
    "4": "Generate a headline for the following article: A bridge was closed for a month.",
    "5": "Generate a title for the following abstract of a paper: We count bees at night.",
    "6": "Generate a subject for the following email: Shall we meet on Monday?",
    "7": "Paraphrase the following tweet without any explanation before or after it: It rains again in town",
}
GOLDS = {
    **{"1": "[2]", "2": "dark comedy", "2N": "travel", "3": "4", "4": "Bridge closed", "5": "Counting Bees at Night"},
    **{"6": "Monday?", "7": "rain. again. why is it always this town"},
}
PROFILES: dict[str, list[dict[str, Any]]] = {
    "1": [{"id": "a", "title": "Wasps", "abstract": "On wasps."}, {"id": "b", "title": "Ants", "abstract": "On ants."}],
    "2": [{"id": "a", "description": "A war is fought.", "tag": "action"}],
    "2N": [{"id": "a", "title": "Sun", "text": "It shines.", "category": "travel"}],
    "3": [{"id": "a", "text": "A fine pot.", "score": "5"}],
    "4": [{"id": "a", "title": "Roads", "text": "Of the roads."}],
    "5": [{"id": "a", "title": "Wasps", "abstract": "We count wasps."}],
    "6": [{"id": "a", "title": "Lunch", "text": "Where do we eat?"}],
    "7": [{"id": "a", "text": "coffee first"}],
}


def _sample(number: str, name: str = "q1", **changes: Any) -> dict[str, Any]:
    return {"id": name, "input": INPUTS[number], "profile": PROFILES[number]} | changes


def _write(folder: Path, number: str, *samples: dict[str, Any], prefix: str = "", **golds: str) -> Path:
    entries = [{"id": s["id"], "output": golds.get(s["id"], GOLDS[number])} for s in samples]
    (folder / f"{prefix}questions.json").write_text(json.dumps(samples), encoding="utf-8")
    outputs = {"task": f"LaMP_{number}", "golds": entries}
    (folder / f"{prefix}outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    return folder


def _task(number: str) -> Task:
    return TASKS[f"lamp{number.lower()}"]


def _one(folder: Path, number: str, **changes: Any) -> Item:
    (item,) = _task(number).read(_write(folder, number, _sample(number, **changes)), 0)
    return item


@pytest.mark.parametrize("number", ["2", "2N", "3", "4", "5", "6", "7"])
def test_the_content_is_the_query_and_the_instruction_the_task(tmp_path: Path, number: str) -> None:
    item = _one(tmp_path, number)
    assert f"{item.request.task} {item.request.query}" == INPUTS[number]
    queries = {
        **{"2": "A cook opens a bar: and fails.", "2N": "Rain.", "3": "Good pan, bad lid. My first review: bad."},
        **{"4": "A bridge was closed for a month.", "5": "We count bees at night."},
        **{"6": "Shall we meet on Monday?", "7": "It rains again in town"},
    }
    assert item.request.query == queries[number]
    assert item.answer == GOLDS[number]
    assert (item.id, item.user, len(item.history)) == ("q1", "q1", 1)


def test_citations_are_chosen_by_their_titles(tmp_path: Path) -> None:
    item = _one(tmp_path, "1")
    assert item.choices == ("Moths and Lamps", 'Roofs of "Old" Barns')
    assert item.answer == 'Roofs of "Old" Barns'
    assert item.request.query.splitlines()[0] == "Bees at Night"
    assert all(title in item.request.query for title in item.choices)


def test_neither_the_paper_nor_a_reference_is_in_the_history_of_a_citation(tmp_path: Path) -> None:
    own = [
        {"id": str(n), "title": t, "abstract": "x"} for n, t in enumerate(["bees at night", "Moths and lamps", "Ants"])
    ]
    item = _one(tmp_path, "1", profile=own)
    assert [record.text for record in item.history] == ["Ants\nx"]
    assert leaks(item) == []


def test_classes_and_stars(tmp_path: Path) -> None:
    assert _one(tmp_path, "2").choices == TAGS and len(set(TAGS)) == 15
    assert _one(tmp_path, "2N").choices == CATEGORIES and len(set(CATEGORIES)) == 15
    stars = _one(tmp_path, "3")
    assert (stars.choices, stars.values, stars.value) == (tuple("12345"), (1, 2, 3, 4, 5), 4.0)
    with pytest.raises(InputError, match="none of its 15 choices"):
        _task("2").read(_write(tmp_path, "2", _sample("2"), q1="musical"), 0)


def test_metrics_and_benches() -> None:
    assert {n: (_task(n).metrics[0], _task(n).benches) for n in INPUTS} == {
        **dict.fromkeys(("1", "2", "2N"), ("accuracy", ("preference",))),
        "3": ("mae", ("rating",)),
        **dict.fromkeys("4567", ("rouge1", ("title", "steer"))),
    }
    assert _task("2").metrics == ("accuracy", "f1_macro") and _task("3").metrics == ("mae", "rmse")
    assert all(bool(_task(n).max_new_tokens) == (n in "4567") for n in INPUTS)


def test_unknown_wording_is_the_query_as_a_whole(tmp_path: Path) -> None:
    item = _one(tmp_path, "5", input="Name this: we count bees.")
    assert (item.request.query, item.request.task) == ("Name this: we count bees.", None)
    cited = _one(tmp_path, "1", input="Which one, [1] or [2]?")
    assert (cited.request.query, cited.choices, cited.answer) == ("Which one, [1] or [2]?", ("[1]", "[2]"), "[2]")


def test_what_gives_the_answer_away_is_left_out(tmp_path: Path) -> None:
    profile = [
        {"id": "same", "title": "COUNTING BEES: at night", "abstract": "Quite another text."},
        {"id": "q1", "title": "Own id", "abstract": "Of something."},
        {"id": "twin", "title": "Another title", "abstract": "We count bees at night!"},
        {"id": "cites", "title": "Sequel", "abstract": "After “Counting bees at night” we count wasps."},
        {"id": "fine", "title": "Bees", "abstract": "We count bees by day."},
    ]
    item = _one(tmp_path, "5", profile=profile)
    assert [record.id for record in item.history] == ["fine"]
    tagged = _one(tmp_path, "2", profile=[{"id": "a", "description": "A farce.", "tag": "dark comedy"}])
    assert len(tagged.history) == 1


def test_items_of_one_user_share_their_history(tmp_path: Path) -> None:
    other = [{"id": "z", "title": "Z", "abstract": "Of Z."}]
    more = PROFILES["5"] + [{"id": "y", "title": "Y", "abstract": "We count wasps, twice over."}]
    samples = [
        _sample("5", "q1"),
        _sample("5", "q2", input="Generate a title for the following abstract of a paper: We count ants."),
        _sample("5", "q3", profile=other),
        _sample("5", "q4", user_id="me", profile=more),
        _sample("5", "q5", user_id="me", profile=more),
        _sample("5", "q6", user_id="me", profile=more),
    ]
    items = _task("5").read(_write(tmp_path, "5", *samples, q5="We count wasps, twice over"), 0)
    assert [item.user for item in items] == ["q1", "q1", "q3", "me", "me", "me"]
    assert items[0].history is items[1].history is not items[2].history
    assert items[3].history is items[5].history
    assert [record.id for record in items[4].history] == ["a"]


def test_a_question_left_without_history_is_none(tmp_path: Path) -> None:
    own = [{"id": "t", "title": "Counting bees at night", "abstract": "x"}]
    samples = [_sample("5", "q1", profile=own), _sample("5", "q2"), _sample("5", "q3", profile=[])]
    assert [item.id for item in _task("5").read(_write(tmp_path, "5", *samples), 0)] == ["q2"]
    with pytest.raises(InputError, match=r"no question with a history \(2 without\)"):
        _task("5").read(_write(tmp_path, "5", samples[0], samples[2]), 0)


@pytest.mark.parametrize("prefix", ["", "train_", "dev_"])
def test_prefixes_and_the_file_itself(tmp_path: Path, prefix: str) -> None:
    _write(tmp_path, "4", _sample("4"), prefix=prefix)
    for path in (tmp_path, tmp_path / f"{prefix}questions.json"):
        assert [item.answer for item in _task("4").read(path, 0)] == ["Bridge closed"]


def test_folders_that_are_no_lamp(tmp_path: Path) -> None:
    def fails(message: str, number: str = "5") -> None:
        with pytest.raises(InputError, match=message):
            _task(number).read(tmp_path, 0)

    fails("expected one questions.json")
    with pytest.raises(InputError, match="can't be read"):
        (tmp_path / "outputs.json").write_text('{"golds": []}', encoding="utf-8")
        _task("5").read(tmp_path / "questions.json", 0)
    (tmp_path / "outputs.json").unlink()
    (tmp_path / "questions.json").write_text(json.dumps([_sample("5")]), encoding="utf-8")
    fails("no outputs.json beside the questions")
    _write(tmp_path, "5", _sample("5"))
    fails("outputs.json is of LaMP_5: expected LaMP_4", "4")
    _write(tmp_path, "5", _sample("5"), _sample("5"))
    fails("sample 2: a second question 'q1'")
    _write(tmp_path, "5", {"id": "q1", "profile": PROFILES["5"]})
    fails("question 'q1': no 'input'")
    _write(tmp_path, "5", _sample("5"), _sample("5", "q2"))
    whole = (tmp_path / "questions.json").read_text(encoding="utf-8")
    (tmp_path / "questions.json").write_text(whole[:-40], encoding="utf-8")
    fails(r"questions.json item \d+: invalid JSON .* cut off")
    (tmp_path / "questions.json").write_text(json.dumps([_sample("5"), _sample("5", "lost")]), encoding="utf-8")
    (tmp_path / "outputs.json").write_text(json.dumps({"golds": [{"id": "q1", "output": "x"}]}), encoding="utf-8")
    fails("sample 2: question 'lost' has no gold in outputs.json")
    (tmp_path / "outputs.json").write_text('{"golds": [{"id": "q1"', encoding="utf-8")
    fails(r"outputs.json(?: item \d+)?: invalid JSON")
    for wrong, message in (
        ("[]", 'no "golds"'),
        ('{"golds": [{"id": 1}]}', "without 'output'"),
        ('{"golds": [3]}', "gold"),
    ):
        (tmp_path / "outputs.json").write_text(wrong, encoding="utf-8")
        with pytest.raises(InputError, match=re.escape(message)):
            gold_outputs(tmp_path / "outputs.json", "5")
    _write(tmp_path, "1", _sample("1"), q1="[3]")
    fails("'q1': the gold '\\[3\\]' is neither", "1")


@pytest.mark.parametrize(
    ("sample", "year"),
    [
        ({"id": "Ada:2022.acl-long.3"}, 2023),
        ({"id": "P18-2.118"}, 2019),
        ({"id": "C94-1001"}, 1995),
        ({"id": "Ada:P18-2.118", "date": "2020"}, 2021),
        ({"id": "P18-2.118", "date": "2020-01-01"}, 2020),
    ],
)
def test_when_a_paper_came_out(sample: dict[str, str], year: int) -> None:
    assert anthology_time(sample) == datetime(year, 1, 1, tzinfo=UTC)
    assert anthology_time({"id": "q7"}) is None


def test_newer_papers_are_left_out(tmp_path: Path) -> None:
    dates = ["2021", "2023-02-01", "", "2022", "2023"]
    profile = [{"id": f"p{n}", "title": f"T{n}", "abstract": f"A{n}", "date": d} for n, d in enumerate(dates)]
    profile.append({"id": "2022.x-1.1", "title": "Itself", "abstract": "Revised.", "date": "2022"})
    folder = _write(tmp_path, "5", _sample("5", "Ada:2022.x-1.1", user_id="Ada", profile=profile))
    (item,) = TASKS["acl-titles"].read(folder, 0)
    assert [record.id for record in item.history] == ["p0", "p2", "p3"]
    assert len(_task("5").read(folder, 0)[0].history) == 5  # without itself


@pytest.mark.data
def test_acl_titles(shared_data: Path) -> None:
    task = TASKS["acl-titles"]
    items = task.items(shared_data / "acl_titles", "all")
    assert [item.id for item in items] == [item.id for item in task.items(shared_data / "acl_titles", "all")]
    assert len(items) == len({item.id for item in items}) == len({item.user for item in items}) == 114
    assert [line for item in items for line in leaks(item, anthology_time({"id": item.id}))] == []
    # 5,153 profile papers; one is the asked paper itself, one has the abstract of another shared task's paper.
    assert sum(len(item.history) for item in items) == 5151
    assert min(len(item.history) for item in items) == 29
    for item in items:
        paper = item.id.split(":", 1)[1]
        assert paper not in {record.id for record in item.history}
        assert normalised(item.answer) not in {normalised(record.reply or "") for record in item.history}
        times = [record.when for record in item.history if record.when]
        assert times == sorted(times) and len(times) == len(item.history)


@pytest.mark.data
def test_authors_of_one_paper_are_never_in_both_parts(shared_data: Path) -> None:
    tune, test = (TASKS["acl-titles"].items(shared_data / "acl_titles", part) for part in ("tune", "test"))
    assert (len(tune), len(test)) == (63, 51)
    assert not {item.user for item in tune} & {item.user for item in test}
    papers = Counter(item.answer for item in tune + test)
    assert sum(count > 1 for count in papers.values()) >= 5
    assert not {item.answer for item in tune} & {item.answer for item in test}
