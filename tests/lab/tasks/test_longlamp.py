import json
import re
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import leaks
from penchant_lab.tasks.longlamp import LAYOUTS
from penchant_lab.tasks.registry import TASKS

GOLD = (
    "We count the bees of one orchard at night and find that most of them are asleep, "
    "but that some keep flying until the sun comes up."
)
REVIEW = "The lid of this pan doesn't close, yet I use it every evening because nothing burns in it any more."
DESCRIPTION = "An iron pan of 28 cm with a lid of glass, for every stove"

ROWS: dict[str, dict[str, Any]] = {
    "abstracts": {
        "name": "Ada",
        "input": 'Generate an abstract for the title "Bees at "Night"" using the following items: orchards, counting',
        "output": GOLD,
        "profile": [{"id": "p1", "title": "Wasps", "abstract": "We count wasps in two towns.", "year": 2011}],
    },
    "reviews": {
        "reviewerId": "R1",
        "input": 'Generate the review text written by a reviewer who has a given an overall rating of "4.0" for a '
        f'product with description "{DESCRIPTION}". The summary of the review text is "Good "enough" pan".',
        "output": REVIEW,
        "profile": [{"overall": "5.0", "description": "A pot", "summary": "Fine", "reviewText": "It boils quickly."}],
    },
    "topics": {
        "author": "rain_fan",
        "input": "Generate the content for a reddit post I moved to a rainy town and like it there",
        "output": "So last year I moved here, and everybody told me that I would hate the rain. I do not.",
        "profile": [{"author": "rain_fan", "id": "t1", "summary": "Umbrellas break", "content": "Mine broke again."}],
    },
    "emails": {
        "user": "u7",
        "input": "Complete the following email: Dear all, as you know the office moves",
        "output": "to the third floor in May, so please pack your desks by the end of the month.",
        "profile": [{"id": "m1", "title": "Lunch", "text": "Where do we eat today?", "date": "2001-03-04"}],
    },
}


def _write(folder: Path, *rows: dict[str, Any], name: str = "test.json") -> Path:
    lines = name.endswith("l")
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def _read(folder: Path, kind: str) -> list[Item]:
    return TASKS[f"longlamp-{kind}"].read(folder, 0)


@pytest.mark.parametrize("name", ["test.json", "val.jsonl"])
@pytest.mark.parametrize("kind", list(LAYOUTS))
def test_rows_of_every_kind(tmp_path: Path, kind: str, name: str) -> None:
    row = ROWS[kind]
    first, second = _read(_write(tmp_path, row, row | {"output": "Something else."}, name=name), kind)
    user = next(row[key] for key in ("name", "reviewerId", "author", "user") if key in row)
    assert (first.id, second.id, first.user) == (f"{user}/1", f"{user}/2", user)
    assert (first.answer, second.answer) == (row["output"], "Something else.")
    assert first.history is second.history and len(first.history) == 1
    assert leaks(first) == []
    task = TASKS[f"longlamp-{kind}"]
    assert task.metrics == ("rouge1", "rougeL", "meteor") and 200 <= task.max_new_tokens <= 400


def test_what_a_record_is(tmp_path: Path) -> None:
    (paper,) = _read(_write(tmp_path, ROWS["abstracts"]), "abstracts")[0].history
    assert (paper.id, paper.text, paper.reply) == ("p1", "Wasps", "We count wasps in two towns.")
    assert paper.when and paper.when.year == 2011
    (review,) = _read(_write(tmp_path, ROWS["reviews"]), "reviews")[0].history
    assert (review.text, review.reply, review.label) == ("A pot\nFine", "It boils quickly.", 5.0)
    (post,) = _read(_write(tmp_path, ROWS["topics"]), "topics")[0].history
    assert (post.id, post.text, post.reply) == ("t1", "Umbrellas break", "Mine broke again.")
    (email,) = _read(_write(tmp_path, ROWS["emails"]), "emails")[0].history
    assert (email.text, email.reply) == ("Lunch", "Where do we eat today?")


def test_what_is_asked(tmp_path: Path) -> None:
    def asked(kind: str) -> tuple[str, str]:
        request = _read(_write(tmp_path, ROWS[kind]), kind)[0].request
        return request.query, request.task or ""

    assert asked("abstracts")[0] == 'Bees at "Night"\norchards, counting'
    query, task = asked("reviews")
    assert query == f'{DESCRIPTION}\nGood "enough" pan' and "rating of 4.0" in task
    assert asked("topics")[0] == "I moved to a rainy town and like it there"
    assert asked("emails") == ("Dear all, as you know the office moves", "Complete the following email:")
    for kind in LAYOUTS:
        other = ROWS[kind] | {"input": "Write as I would write."}
        request = _read(_write(tmp_path, other), kind)[0].request
        assert (request.query, request.task) == ("Write as I would write.", None)


def test_what_gives_the_answer_away_is_left_out(tmp_path: Path) -> None:
    papers = [
        {"id": "copy", "title": "Other", "abstract": GOLD.upper()},
        {"id": "near", "title": "Other", "abstract": f"Preprint. {GOLD.replace('find', 'show')}"},
        *ROWS["abstracts"]["profile"],
    ]
    titled = {
        "input": 'Generate an abstract for the title "Of Bees That Fly at Night" using the following items: bees',
        "profile": [*papers, {"id": "title", "title": "Of bees that fly at night.", "abstract": "We say it again."}],
    }
    (item,) = _read(_write(tmp_path, ROWS["abstracts"] | titled), "abstracts")
    assert [record.id for record in item.history] == ["p1"]
    again = {"overall": 4, "description": DESCRIPTION, "summary": "Again", "reviewText": "It fell."}
    fine = {"overall": 4, "description": "A spoon", "summary": 'Good "enough" pan', "reviewText": "It bends."}
    (bought,) = _read(_write(tmp_path, ROWS["reviews"] | {"profile": [again, fine]}), "reviews")
    assert [record.reply for record in bought.history] == ["It bends."]


def test_rows_without_history_are_no_items(tmp_path: Path) -> None:
    empty = ROWS["topics"] | {"profile": []}
    same = ROWS["topics"] | {"profile": [{"summary": "x", "content": ROWS["topics"]["output"]}]}
    assert len(_read(_write(tmp_path, empty, ROWS["topics"], same), "topics")) == 1
    with pytest.raises(InputError, match="no row with a profile"):
        _read(_write(tmp_path, empty, same), "topics")


def test_other_files_are_refused(tmp_path: Path) -> None:
    def fails(path: Path, message: str, kind: str = "topics") -> None:
        with pytest.raises(InputError, match=re.escape(message)):
            _read(path, kind)

    fails(tmp_path, "no .json or .jsonl: expected one such file")
    fails(tmp_path / "missing.json", "can't be read")
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    fails(tmp_path, "is Parquet: expected JSON")
    fails(tmp_path / "test-00000-of-00001.parquet", "is Parquet: expected JSON")
    row = ROWS["topics"]
    fails(_write(tmp_path, row), "test.json row 1: expected 'name'", "abstracts")
    fails(_write(tmp_path, row, row | {"output": ""}), "row 2 (rain_fan): no 'output'")
    fails(
        _write(tmp_path, row | {"profile": [{"summary": "x"}]}),
        "row 1: a profile item doesn't fit topics (no 'content')",
    )
    (tmp_path / "test.json").write_text("[3]", encoding="utf-8")
    fails(tmp_path, "row 1 is no object")
    (tmp_path / "test.json").write_text(json.dumps([row, row])[:-30], encoding="utf-8")
    fails(tmp_path, "test.json item 2: invalid JSON")
    (tmp_path / "test.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row)[:50], encoding="utf-8")
    fails(tmp_path / "test.jsonl", "test.jsonl line 2: invalid JSON")
    fails(tmp_path, "holds test.json, test.jsonl: expected one such file")
