import json
import re
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant_lab.measures.leaks import leaks
from penchant_lab.tasks.blog18f import FEWEST_EARLIER, OPENING_WORDS, TASK, opening, read_posts

WORDS = ["apple", "bridge", "candle", "door", "engine", "fence", "garden", "hammer", "island", "jacket"]


def _post(number: int, *authors: str, **changes: Any) -> dict[str, Any]:
    word = WORDS[number]
    post = {
        "id": f"2020-01-{number + 1:02}-{word}",
        "date": f"2020-01-{number + 1:02}",
        "title": f"All about the {word}",
        "authors": list(authors) or ["ana"],
        "text": f"The {word} was bought last week. Nobody in the {word} group knew why.",
    }
    return post | changes


def _write(folder: Path, *posts: dict[str, Any]) -> Path:
    (folder / "posts.jsonl").write_text("\n".join(json.dumps(post) for post in posts), encoding="utf-8")
    return folder


def test_every_post_after_four_others(tmp_path: Path) -> None:
    folder = _write(tmp_path, *(_post(n) for n in (5, 3, 0, 4, 2, 1)))
    fifth, sixth = TASK.read(folder, 0)
    assert (fifth.id, fifth.user, fifth.answer) == ("ana/2020-01-05-engine", "ana", "All about the engine")
    assert fifth.request.query.startswith("The engine was bought") and fifth.request.task
    assert [record.reply for record in fifth.history] == [f"All about the {word}" for word in WORDS[:4]]
    assert [len(fifth.history), len(sixth.history)] == [FEWEST_EARLIER, FEWEST_EARLIER + 1]
    assert [item.id for item in TASK.read(folder / "posts.jsonl", 0)] == [fifth.id, sixth.id]


def test_posts_of_the_same_day_are_not_before(tmp_path: Path) -> None:
    folder = _write(tmp_path, *(_post(n) for n in range(5)), _post(5, date="2020-01-05"))
    assert [len(item.history) for item in TASK.read(folder, 0)] == [4, 4]
    assert all("fence" not in r.id and "engine" not in r.id for i in TASK.read(folder, 0) for r in i.history)


def test_a_post_of_several_authors_is_asked_once(tmp_path: Path) -> None:
    posts = [_post(0, "ben"), *(_post(n, "ana", "ben") for n in range(1, 5)), _post(5, "ana", "ben"), _post(6, "ana")]
    first, second, third = TASK.read(_write(tmp_path, *posts), 0)
    # Ben wrote one more, so his history is longer; with equally long ones Ana is named first.
    assert (first.id, len(first.history)) == ("ben/2020-01-05-engine", 4)
    assert (second.id, len(second.history)) == ("ben/2020-01-06-fence", 5)
    assert (third.id, len(third.history)) == ("ana/2020-01-07-garden", 5)
    even = TASK.read(_write(tmp_path, *(_post(n, "ben", "ana") for n in range(5))), 0)
    assert [item.user for item in even] == ["ben"]


def test_the_organisation_is_no_user(tmp_path: Path) -> None:
    posts = [_post(n, "18F") for n in range(4)] + [_post(n, "18F", "ana") for n in range(4, 9)]
    (item,) = TASK.read(_write(tmp_path, *posts), 0)
    assert (item.user, len(item.history)) == ("ana", 4)
    with pytest.raises(InputError, match="no author with a post after 4 others"):
        TASK.read(_write(tmp_path, *posts[:8]), 0)


def test_duplicates_and_quoted_headlines_are_left_out(tmp_path: Path) -> None:
    asked = _post(9)
    copies = [
        _post(5, text=asked["text"]),
        _post(6, title="ALL ABOUT THE JACKET!"),
        _post(7, text="Coming soon: “All about the jacket”, a post on clothes."),
    ]
    items = TASK.read(_write(tmp_path, *(_post(n) for n in range(5)), *copies, asked), 0)
    assert items[-1].answer == asked["title"]
    assert [record.id[11:] for record in items[-1].history] == WORDS[:5]
    assert all(leaks(item) == [] for item in items)


def test_a_date_may_stand_in_the_id_alone(tmp_path: Path) -> None:
    folder = _write(tmp_path, *(_post(n, date="None") for n in range(5)))
    (item,) = TASK.read(folder, 0)
    assert [record.when.day for record in item.history if record.when] == [1, 2, 3, 4]


def test_openings() -> None:
    long = "word " * OPENING_WORDS
    assert opening("First.\n\nSecond.\n \n" + long) == "First.\n\nSecond."
    assert opening(long + "more") == long.strip()
    assert opening(" Short. ") == "Short."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "2020-01-01-x"', "line 2: invalid JSON"),
        ("[]", "line 2: no JSON object"),
        (json.dumps({"id": "a", "date": "2020-01-01", "title": "x", "text": "y"}), "line 2: no 'authors'"),
        (json.dumps(_post(0)), "line 2: a second post '2020-01-01-apple'"),
        (json.dumps(_post(1, date="", id="undated post")), "line 2: 'undated po' is no time"),
        (json.dumps(_post(1, text=" ")), "expected a list of authors, a title and a text"),
        (json.dumps(_post(1, authors="ana")), "expected a list of authors"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "posts.jsonl").write_text(json.dumps(_post(0)) + "\n" + line, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)):
        TASK.read(tmp_path, 0)
    with pytest.raises(InputError, match="can't be read"):
        TASK.read(tmp_path / "missing", 0)


@pytest.mark.data
def test_the_development_data(shared_data: Path) -> None:
    path = shared_data / "18f_blog"
    posts = {record.id: (record, authors) for record, authors in read_posts(path)}
    items = TASK.items(path, "all")
    assert (len(posts), len(items)) == (263, 74)
    assert [item.id for item in items] == [item.id for item in TASK.items(path, "all")]
    assert len({item.id.partition("/")[2] for item in items}) == len(items)
    for item in items:
        post, authors = posts[item.id.partition("/")[2]]
        assert leaks(item, post.when) == []
        assert item.user in authors and item.user != "18F"
        assert item.answer == post.reply and item.request.query.split()[:5] == post.text.split()[:5]
        assert len(item.history) >= FEWEST_EARLIER
        for record in item.history:
            assert record.id != post.id and record.when is not None and post.when is not None
            assert record.when < post.when and item.user in posts[record.id][1]
    tune, test = TASK.items(path, "tune"), TASK.items(path, "test")
    assert (len(tune), len(test)) == (45, 29)
    assert not {item.user for item in tune} & {item.user for item in test}
