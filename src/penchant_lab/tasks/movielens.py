"""MovieLens (Harper and Konstan 2015): how a user rates a film, and whether the user likes it.

Leave-last-out by time: a user's newest rating is the item, and the ratings from before that second are the history.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from penchant.errors import InputError
from penchant.history.importers import movielens
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item
from penchant_lab.tasks.task import Task

#: Ratings before the item that a user needs. Every user of the data sets has 20 or more in all, but many enter them in
#: bursts: what shares the item's second is no history.
FEWEST = 10

#: Stars from which a film counts as liked. The usual cut of implicit feedback on these data sets (4 and 5 stars are
#: positive; TALLRec, Bao et al. 2023, says "above 3", the same on whole stars). A user's own mean would have to be
#: read off the history and would make the same star a like of one user and none of another.
LIKED = 4.0

# Wordings were compared on 60 tuning users with the ten last ratings as notes, under SmolLM2-135M. AUC of a like:
# answers worded as the history words them 0.77 by the share of four and five stars (MAE of the stars 0.72); numbers "1"
# to "5" 0.59 (MAE 2.29); Yes and No, in two wordings, 0.47 and 0.45; like and dislike 0.46. For comparison, the mean of
# those ten ratings: 0.70 (MAE 0.74); of all earlier ones: 0.61 (0.76).
ASK = "Rate this film as I would."
CHOICES = tuple(f"Rated {star} of 5 stars." for star in range(1, 6))


def last_ratings(path: str | Path) -> list[tuple[History, Record]]:
    """Return every user's history and newest rating, users in the order of the file.

    Of several ratings in the newest second, one is chosen by a hash, since their order means nothing; the others are
    left out. So is the same film under another number (MovieLens holds some films twice). Users with fewer than
    `FEWEST` earlier ratings are left out.

    Raises `InputError` for a folder that isn't MovieLens, or one without such users.
    """
    users: dict[str, list[Record]] = {}
    for user, record in movielens.read(path):
        users.setdefault(user, []).append(record)
    found = [
        (History(earlier, user), last)
        for user, records in users.items()
        for earlier, last in [_leave_last_out(user, records)]
        if len(earlier) >= FEWEST
    ]
    if not found:
        raise InputError(
            f"{Path(path).name}: no user with {FEWEST} ratings before the last one; expected a whole MovieLens data set"
        )
    return found


def ratings(path: Path, seed: int = 0) -> list[Item]:
    """Return one item for each user: the stars of the newest rating. Nothing is drawn. The answer is the nearest whole
    star (halves are rounded up); `value` is the true rating.
    """
    return [
        Item(
            f"{history.user}/{last.id}",
            history,
            Request(film(last), ASK),
            _choice(stars(last) + 0.5),
            choices=CHOICES,
            values=(1.0, 2.0, 3.0, 4.0, 5.0),
            value=stars(last),
        )
        for history, last in last_ratings(path)
    ]


def likes(path: Path, seed: int = 0) -> list[Item]:
    """Return one item for each user: whether the newest rating is at least `LIKED` stars. Nothing is drawn. The choices
    are the stars, worth 1 from `LIKED` on and 0 below, so that their expectation is the probability of a like. The
    answer is the true star (halves are rounded down), and every star on the same side counts as right.
    """
    values = tuple(float(star >= LIKED) for star in range(1, 6))
    found = []
    for history, last in last_ratings(path):
        liked = float(stars(last) >= LIKED)
        answer = _choice(stars(last))
        same = tuple(choice for choice, value in zip(CHOICES, values, strict=True) if value == liked)
        found.append(
            Item(
                f"{history.user}/{last.id}",
                history,
                Request(film(last), ASK),
                answer,
                choices=CHOICES,
                values=values,
                value=liked,
                references=tuple(choice for choice in same if choice != answer),
            )
        )
    return found


def _choice(star: float) -> str:
    return CHOICES[min(max(int(star), 1), 5) - 1]


def film(record: Record) -> str:
    """Return a film's title and genres: the record's text without the rating."""
    return record.text.rpartition(" Rated ")[0]


def stars(record: Record) -> float:
    """Return the rating, which the importer has turned into a number."""
    return float(record.label or 0.0)


def _leave_last_out(user: str, records: Iterable[Record]) -> tuple[list[Record], Record]:
    timed = [(record.when, record) for record in records if record.when is not None]
    newest = max(when for when, _ in timed)
    last = min((record for when, record in timed if when == newest), key=lambda record: _draw(user, record.id))
    return [record for when, record in timed if when < newest and _title(record) != _title(last)], last


def _draw(user: str, movie: str) -> bytes:
    return hashlib.sha256(f"{user}/{movie}".encode()).digest()


def _title(record: Record) -> str:
    """Return the title, with its year if it has one: two numbers of one film may differ in their genres."""
    named = re.match(r".*\(\d{4}[^)]*\)", film(record))
    return (named[0] if named else film(record)).casefold()


_SOURCE = "MovieLens, a user's newest rating (Harper and Konstan 2015)"

RATING_TASK = Task("movielens-rating", ("rating",), ratings, ("mae", "rmse"), f"{_SOURCE}: how many stars")

LIKE_TASK = Task("movielens-like", ("rating",), likes, ("auc", "accuracy"), f"{_SOURCE}: four stars or more")
