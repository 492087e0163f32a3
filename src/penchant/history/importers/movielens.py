"""MovieLens ratings: 100K (u.data, u.item), 1M and 10M (ratings.dat), small and 25M (ratings.csv).

Source: https://grouplens.org/datasets/movielens (Harper and Konstan 2015).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from penchant.errors import InputError
from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, open_text
from penchant.history.records import Record

_GENRES = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|Musical|"
    "Mystery|Romance|Sci-Fi|Thriller|War|Western"
)

Movies = dict[str, tuple[str, str]]
"""Movie id -> title (with year), genres ("Comedy, Drama" or "")."""


def read(path: str | Path, *, user: str | None = None) -> Iterator[Pair]:
    """Yield one record per rating, in the order of the file. Users are the data set's numbers; `user` picks one.

    text: "Toy Story (1995). Adventure, Animation. Rated 4 of 5 stars."; label: the stars; id and meta["movie"]: the
    movie's number; kind "rating". `path` is the unpacked folder. Raises `InputError` for any other folder or a bad
    line.
    """
    folder = Path(path)
    if (folder / "u.data").is_file():
        movies = _movies_100k(folder / "u.item")
        rows = _split(folder / "u.data", "\t")
    elif (folder / "ratings.dat").is_file():
        movies = _movies(_split(folder / "movies.dat", "::", 3))
        rows = _split(folder / "ratings.dat", "::")
    elif (folder / "ratings.csv").is_file():
        movies = _movies(_table(folder / "movies.csv", 3))
        rows = _table(folder / "ratings.csv", 4)
    else:
        raise InputError(
            f"{folder} is no MovieLens folder: expected u.data (100K), ratings.dat (1M) or ratings.csv in it; "
            "name the unpacked folder"
        )
    for where, (owner, movie, stars, seconds) in rows:
        if user is None or owner == user:
            yield owner, _record(where, movies, movie, stars, seconds)


def _record(where: str, movies: Movies, movie: str, stars: str, seconds: str) -> Record:
    try:
        title, genres = movies[movie]
        rating = float(stars)
        when = datetime.fromtimestamp(int(seconds), UTC)
    except KeyError:
        raise InputError(f"{where}: no movie {movie!r} in the list of movies; the data set is incomplete") from None
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"{where}: {error}; expected user, movie, rating, seconds since 1970") from None
    parts = [title, genres, f"Rated {rating:g} of 5 stars"]
    text = ". ".join(part for part in parts if part) + "."
    return Record(text, id=movie, label=rating, when=when, kind="rating", meta={"movie": movie})


def _movies_100k(path: Path) -> Movies:
    movies: Movies = {}
    for _, cells in _split(path, "|", 24):
        flags = zip(_GENRES.split("|"), cells[5:], strict=True)
        movies[cells[0]] = (cells[1], ", ".join(name for name, flag in flags if flag == "1" and name != "unknown"))
    return movies


def _movies(rows: Iterator[tuple[str, list[str]]]) -> Movies:
    def readable(genres: str) -> str:
        return "" if genres.startswith("(no genres") else genres.replace("|", ", ")

    return {number: (title, readable(genres)) for _, (number, title, genres) in rows}


def _split(path: Path, separator: str, width: int = 4) -> Iterator[tuple[str, list[str]]]:
    with open_text(path, "latin-1") as lines:
        yield from _of_width(path, (line.rstrip("\r\n").split(separator) for line in lines), width)


def _table(path: Path, width: int) -> Iterator[tuple[str, list[str]]]:
    with open_text(path) as lines:
        rows = csv.reader(lines)
        next(rows, None)
        yield from _of_width(path, rows, width, first=2)


def _of_width(path: Path, rows: Iterator[list[str]], width: int, first: int = 1) -> Iterator[tuple[str, list[str]]]:
    for number, cells in enumerate(rows, first):
        where = f"{path.name} line {number}"
        if len(cells) != width:
            if not any(cells):
                continue
            raise InputError(f"{where}: {len(cells)} fields, expected {width}; is this the unchanged MovieLens file?")
        yield where, cells


IMPORTER = Importer(read, "MovieLens 100K, 1M or small, unpacked folder", several_users=True)
