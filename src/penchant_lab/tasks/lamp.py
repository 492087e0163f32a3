"""LaMP 1 to 7 (Salemi et al. 2023), and the titles of ACL papers in the layout of LaMP-5."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.importers import lamp
from penchant.history.importers.reading import parse_time, read_json
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import split_together, without_leaks
from penchant_lab.tasks.task import WRITTEN, Bench, Task

#: Of LaMP-2, in the order of the official prompts; the older news categories are LaMP-2N.
TAGS = (
    *("sci-fi", "based on a book", "comedy", "action", "twist ending", "dystopia", "dark comedy", "classic"),
    *("psychology", "fantasy", "romance", "thought-provoking", "social commentary", "violence", "true story"),
)
CATEGORIES = (
    *("travel", "education", "parents", "style & beauty", "entertainment", "food & drink", "science & technology"),
    *("business", "sports", "healthy living", "women", "politics", "crime", "culture & arts", "religion"),
)
STARS = ("1", "2", "3", "4", "5")

_CITATION = re.compile(
    r'the paper with the title "(?P<paper>.+)", which reference is related\?.*?'
    r'\[1\]: "(?P<first>.+)" \[2\]: "(?P<second>.+)"\s*$',
    re.DOTALL,
)
_CITE = "I have written the paper below. Which of the two references is related to it? Answer with its title alone."

Sample = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a sample asks. traces: what must not be in the history (an answer that is a label has none)."""

    request: Request
    answer: str
    traces: tuple[str, ...]
    choices: tuple[str, ...] = ()
    values: tuple[float, ...] = ()


def split_input(text: str, mark: str) -> Request:
    """Split the official input into a request: the instruction, which ends with the mark ("article:"), is the task, and
    the rest is the query. An input in other words is the query as a whole.
    """
    instruction, found, content = text.partition(mark)
    return Request(content.strip(), f"{instruction}{found}".strip()) if content.strip() else Request(text)


def _citation(text: str, gold: str) -> Asked:
    match = _CITATION.search(text)
    if not match:
        return Asked(Request(text), gold, (text,), ("[1]", "[2]"))
    paper, *references = (match[name].strip() for name in ("paper", "first", "second"))
    if gold not in ("[1]", "[2]"):
        raise InputError(f"the gold {gold[:40]!r} is neither [1] nor [2]; is this LaMP-1?")
    query = "\n".join([paper, *(f"Reference: {title}" for title in references)])
    answer = references[gold == "[2]"]
    return Asked(Request(query, _CITE), answer, (paper, *references), tuple(references))


def _labelled(mark: str, choices: Sequence[str], values: Sequence[float] = ()) -> Callable[[str, str], Asked]:
    def asked(text: str, gold: str) -> Asked:
        request = split_input(text, mark)
        return Asked(request, gold, (request.query,), tuple(choices), tuple(values))

    return asked


def _written(mark: str) -> Callable[[str, str], Asked]:
    def asked(text: str, gold: str) -> Asked:
        request = split_input(text, mark)
        return Asked(request, gold, (request.query, gold))

    return asked


_ASKED: dict[str, Callable[[str, str], Asked]] = {
    "1": _citation,
    "2": _labelled("description:", TAGS),
    "2N": _labelled("article:", CATEGORIES),
    "3": _labelled("review:", STARS, [float(star) for star in STARS]),
    "4": _written("article:"),
    "5": _written("paper:"),
    "6": _written("email:"),
    "7": _written("after it:"),
}


def items(
    path: Path, seed: int = 0, *, number: str, before: Callable[[Sample], datetime | None] | None = None
) -> list[Item]:
    """Return an item for every question of LaMP-`number` ("1" to "7", "2N") in the order of the file; nothing is drawn.

    path: a questions file with its outputs file next to it, or the folder with both. The user is the sample's
    `user_id`, or else the `id` of the first sample with the same profile; a user's items share one history where it is
    the same. before: returns the time of a sample, from which on nothing of the profile counts.

    Records that give an item away are left out of its history (`measures.leaks`): the paper itself under another id, a
    headline that is the answer, a review that was posted twice; in LaMP-1 the citing paper and both references. A
    sample whose profile is then empty gives no item.

    Raises `InputError` for files that aren't LaMP-`number`, for a question without a gold answer, and if no item is
    left.
    """
    questions = lamp.questions_file(path)
    golds = gold_outputs(lamp.outputs_file(questions), number)
    users: dict[tuple[str, ...], str] = {}
    histories: dict[tuple[str, ...], History] = {}
    made: dict[str, Item] = {}
    empty = 0
    for sample, where, records in lamp.samples(questions, task=number):
        name = str(sample.get("id") or lamp.owner(sample))
        if name in made:
            raise InputError(f"{where}: a second question {name!r}; expected each id once")
        if name not in golds:
            raise InputError(f"{where}: question {name!r} has no gold in {lamp.outputs_file(questions).name}")
        try:
            asked = _ASKED[number](str(sample["input"]), golds[name])
        except (KeyError, InputError) as error:
            problem = "no 'input'" if isinstance(error, KeyError) else error
            raise InputError(f"{where}: question {name!r}: {problem}") from None
        user = str(sample.get("user_id") or users.setdefault(_content(records), name))
        left = without_leaks(
            records, texts=asked.traces, before=before(sample) if before else None, ids=_own_ids(name, user)
        )
        if not left:
            empty += 1
            continue
        history = histories.setdefault((user, *_content(left)), History(left, user))
        value = dict(zip(asked.choices, asked.values, strict=False)).get(asked.answer)
        made[name] = Item(name, history, asked.request, asked.answer, asked.choices, asked.values, value)
    if not made:
        raise InputError(f"{questions.name}: no question with a history ({empty} without); expected a LaMP file")
    return list(made.values())


def gold_outputs(file: Path, number: str) -> dict[str, str]:
    """Return the gold answers of an outputs file, by question. Raises `InputError` for another file or another task."""
    if not file.is_file():
        raise InputError(f"no {file.name} beside the questions: expected the right answers there")
    document = read_json(file)
    entries = document.get("golds") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise InputError(f'{file.name}: no "golds"; expected {{"task": "LaMP_{number}", "golds": [...]}}')
    named = str(document.get("task", f"LaMP_{number}"))
    if named.replace("-", "_").upper() != f"LAMP_{number}":
        raise InputError(f"{file.name} is of {named}: expected LaMP_{number}; choose that task, or that data")
    try:
        return {str(entry["id"]): str(entry["output"]).strip() for entry in entries}
    except (KeyError, TypeError) as error:
        raise InputError(f"{file.name}: a gold without {error}; expected 'id' and 'output' in each") from None


def anthology_time(sample: Sample) -> datetime | None:
    """Return when a sample's paper appeared: its `date`, or else the year in its ACL Anthology id ("2022.acl-long.1",
    "P18-2.118"). A year alone means its end, since its papers may have appeared in any order.
    """
    date = str(sample.get("date") or "").strip()
    paper = str(sample["id"]).rpartition(":")[2]
    if match := re.fullmatch(r"(\d{4})", date) or re.match(r"(\d{4})\.", paper):
        return datetime(int(match[1]) + 1, 1, 1, tzinfo=UTC)
    if when := parse_time(date):
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    if match := re.match(r"[A-Z](\d\d)-", paper):
        return datetime(int(match[1]) + (1901 if int(match[1]) > 50 else 2001), 1, 1, tzinfo=UTC)
    return None


def _own_ids(name: str, user: str) -> set[str]:
    return {name, name.removeprefix(f"{user}:")}


def _content(records: Iterable[Record]) -> tuple[str, ...]:
    return tuple(record.id + record.content_hash() for record in records)


def _task(
    number: str, benches: tuple[Bench, ...], metrics: tuple[str, ...], what: str, max_new_tokens: int = 0
) -> Task:
    about = f"LaMP-{number}: {what} (Salemi et al. 2023, arXiv 2304.11406)"
    return Task(f"lamp{number.lower()}", benches, partial(items, number=number), metrics, about, max_new_tokens)


_ROUGE = ("rouge1", "rougeL", "meteor")

LAMP1_TASK = _task("1", ("preference",), ("accuracy",), "which of two papers an author cites")
LAMP2_TASK = _task("2", ("preference",), ("accuracy", "f1_macro"), "the tag a user gives a film")
LAMP2N_TASK = _task("2N", ("preference",), ("accuracy", "f1_macro"), "the category an author gives an article")
LAMP3_TASK = _task("3", ("rating",), ("mae", "rmse"), "the stars of a review")
LAMP4_TASK = _task("4", WRITTEN, _ROUGE, "headlines of an author's articles", 32)
LAMP5_TASK = _task("5", WRITTEN, _ROUGE, "titles of a researcher's papers", 48)
LAMP6_TASK = _task("6", WRITTEN, _ROUGE, "subjects of a user's emails", 32)
LAMP7_TASK = _task("7", WRITTEN, _ROUGE, "tweets in a user's words", 96)
ACL_TITLES_TASK = Task(
    "acl-titles",
    WRITTEN,
    partial(items, number="5", before=anthology_time),
    _ROUGE,
    "titles of a researcher's newest paper in the ACL Anthology, by its abstract (layout of LaMP-5)",
    48,
    split=split_together,
)
