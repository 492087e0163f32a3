from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import leaks
from penchant_lab.tasks.movielens import CHOICES, FEWEST, LIKE_TASK, RATING_TASK, likes, ratings
from penchant_lab.tasks.registry import TASKS

DAY = 86_400
Row = tuple[str, str, str, int]


def _films(number: int) -> str:
    return f"{number},Film {number} (19{number % 90 + 10}),Comedy|Drama"


def _folder(folder: Path, rows: list[Row], films: list[str] | None = None) -> Path:
    movies = films or [_films(number) for number in range(1, 61)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies]) + "\n", encoding="utf-8")
    told = [",".join(map(str, row)) for row in rows]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *told]) + "\n", encoding="utf-8")
    return folder


def _earlier(user: str, count: int = FEWEST, start: int = 1) -> list[Row]:
    return [(user, str(number), "4.0", number * DAY) for number in range(start, start + count)]


def test_the_newest_rating_is_asked_and_what_was_before_is_the_history(tmp_path: Path) -> None:
    last = ("7", "40", "2.0", 100 * DAY)
    (item,) = ratings(_folder(tmp_path, [last, *_earlier("7")]))
    assert (item.id, item.user) == ("7/40", "7")
    assert item.request.query == "Film 40 (1950). Comedy, Drama."
    assert item.request.task and "Rate" in item.request.task
    assert (item.answer, item.value) == ("Rated 2 of 5 stars.", 2.0)
    assert item.choices == CHOICES == tuple(f"Rated {star} of 5 stars." for star in (1, 2, 3, 4, 5))
    assert item.history[0].text.endswith(CHOICES[3])  # worded as the history words it
    assert item.values == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert [record.id for record in item.history] == [str(number) for number in range(1, FEWEST + 1)]


@pytest.mark.parametrize(
    ("stars", "nearest", "whole", "liked"),
    [
        ("0.5", 1, 1, False),
        ("1.0", 1, 1, False),
        ("2.5", 3, 2, False),
        ("3.5", 4, 3, False),
        ("4.0", 4, 4, True),
        ("4.5", 5, 4, True),
    ],
)
def test_half_stars_stay_halves_and_four_is_a_like(
    tmp_path: Path, stars: str, nearest: int, whole: int, liked: bool
) -> None:
    folder = _folder(tmp_path, [*_earlier("7"), ("7", "40", stars, 100 * DAY)])
    (rating,), (like,) = ratings(folder), likes(folder)
    assert (rating.answer, rating.value, rating.references) == (CHOICES[nearest - 1], float(stars), ())
    assert (like.answer, like.value) == (CHOICES[whole - 1], float(liked))
    assert like.values == (0.0, 0.0, 0.0, 1.0, 1.0)
    assert {like.answer, *like.references} == set(CHOICES[3:] if liked else CHOICES[:3])
    assert like.choices == CHOICES
    assert like.history.records == rating.history.records
    assert stars not in rating.request.query


def test_of_the_newest_second_one_is_asked_and_the_others_are_no_history(tmp_path: Path) -> None:
    same = [("7", str(number), "3.0", 100 * DAY) for number in range(30, 36)]
    (item,) = ratings(_folder(tmp_path, [*_earlier("7"), *same]))
    (turned,) = ratings(_folder(tmp_path, [*reversed(same), *_earlier("7")]))
    assert (item.id, item.history.records) == (turned.id, turned.history.records)
    assert len(item.history) == FEWEST
    chosen = {
        ratings(_folder(tmp_path, [*_earlier(user), *((user, movie, s, t) for _, movie, s, t in same)]))[0].id
        for user in map(str, range(1, 30))
    }
    assert len({name.split("/")[1] for name in chosen}) > 3  # not always the first or the last number


def test_the_film_itself_is_no_history_under_another_number(tmp_path: Path) -> None:
    films = [
        *map(_films, range(1, 40)),
        "40,Emma (1996),Comedy",
        "41,Emma (1996),Comedy|Romance",
        "42,Emma (2009),Drama",
    ]
    rows = [*_earlier("7"), ("7", "41", "5.0", 50 * DAY), ("7", "42", "5.0", 51 * DAY), ("7", "40", "1.0", 100 * DAY)]
    (item,) = ratings(_folder(tmp_path, rows, films))
    assert item.id == "7/40"
    assert [record.id for record in item.history][-2:] == [str(FEWEST), "42"]


def test_users_with_too_few_earlier_ratings_are_left_out(tmp_path: Path) -> None:
    short = [*_earlier("1", FEWEST - 1), ("1", "40", "3.0", 99 * DAY)]
    enough = [*_earlier("2"), ("2", "40", "3.0", 99 * DAY)]
    assert [item.user for item in ratings(_folder(tmp_path, [*short, *enough]))] == ["2"]
    with pytest.raises(InputError, match=f"no user with {FEWEST} ratings"):
        ratings(_folder(tmp_path, short))


def test_another_folder_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no MovieLens folder"):
        likes(tmp_path)
    folder = _folder(tmp_path, _earlier("7"))
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.0,5\n7,2,4\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"ratings\.csv line 3: 3 fields"):
        likes(folder)


def test_tasks_are_registered() -> None:
    assert TASKS["movielens-rating"] is RATING_TASK
    assert TASKS["movielens-like"] is LIKE_TASK
    assert (RATING_TASK.metrics, LIKE_TASK.metrics) == (("mae", "rmse"), ("auc", "accuracy"))
    assert RATING_TASK.benches == LIKE_TASK.benches == ("rating",)


def _second(item: Item, folder: Path) -> datetime:
    user, movie = item.id.split("/")
    for line in (folder / "ratings.csv").read_text(encoding="utf-8").splitlines()[1:]:
        cells = line.split(",")
        if cells[:2] == [user, movie]:
            return datetime.fromtimestamp(int(cells[3]), UTC)
    raise AssertionError(item.id)


@pytest.mark.data
def test_every_user_of_movielens_has_an_item_without_a_leak(shared_data: Path) -> None:
    folder = shared_data / "ml-latest-small"
    found = ratings(folder)
    assert len(found) == len({item.user for item in found}) == 610
    assert [len(RATING_TASK.items(folder, part)) for part in ("tune", "test")] == [321, 289]
    for item in found:
        assert len(item.history) >= FEWEST
        times = [record.when for record in item.history if record.when]
        assert times == sorted(times) and len(times) == len(item.history)
        assert item.id.split("/")[1] not in {record.id for record in item.history}
        assert not any(record.text.startswith(item.request.query) for record in item.history)
    for item in found[::10]:
        # The choices stand in every history by right: it is ratings.
        asked = replace(item, choices=("yes", "no"), values=(), answer="yes")
        assert not leaks(asked, before=_second(item, folder))
    assert 0.5 < sum(item.value or 0.0 for item in likes(folder)) / 610 < 0.7
