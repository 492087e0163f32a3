"""LongLaMP (Kumar et al. 2024, arXiv 2407.11016): long texts in a user's own style."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.importers.reading import open_text, parse_time, stream_items
from penchant.history.records import History, Record, Request
from penchant.text.unicode import replace_surrogates
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import identifying, without_leaks
from penchant_lab.tasks.task import WRITTEN, Task

Sample = Mapping[str, Any]

_ABSTRACT = re.compile(r'for the title "(?P<title>.+?)" using the following items:\s*(?P<items>.+)', re.DOTALL)
_REVIEW = re.compile(
    r'overall rating of "(?P<rating>[^"]*)" for a product with description "(?P<description>.*)"\. '
    r'The summary of the review text is "(?P<summary>.*)"',
    re.DOTALL,
)
_TOPIC = re.compile(r"content for a reddit post:?\s*(?P<summary>.+)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """One of the four tasks. users: keys that name the user, the official one first. record: turns a profile item into
    the fields of a record. asked: turns an official input into a request and the texts in it that identify it.
    """

    users: tuple[str, ...]
    record: Callable[[Sample], dict[str, Any]]
    asked: Callable[[str], tuple[Request, tuple[str, ...]]]


def _paper(item: Sample) -> dict[str, Any]:
    return {"text": item["title"], "reply": item["abstract"], "when": _year(item), "kind": "paper"}


def _review(item: Sample) -> dict[str, Any]:
    about = "\n".join(str(item.get(key) or "").strip() for key in ("description", "summary"))
    return {"text": about.strip(), "reply": item["reviewText"], "label": float(item["overall"]), "kind": "review"}


def _post(item: Sample) -> dict[str, Any]:
    return {"text": item["summary"], "reply": item["content"], "kind": "post"}


def _email(item: Sample) -> dict[str, Any]:
    body = next((key for key in ("text", "content", "body", "email") if key in item), "text")
    subject = item.get("title") or item.get("subject") or ""
    return {"text": subject, "reply": item[body], "when": _year(item), "kind": "email"}


def _year(item: Sample) -> Any:
    return parse_time(str(item.get("date") or item.get("year") or "").removesuffix(".0"))


def _abstract_asked(text: str) -> tuple[Request, tuple[str, ...]]:
    if not (match := _ABSTRACT.search(text)):
        return Request(text), (text,)
    title, items = match["title"].strip(), match["items"].strip()
    task = "Generate an abstract for the paper with the title and the items below:"
    return Request(f"{title}\n{items}", task), (title,)


def _review_asked(text: str) -> tuple[Request, tuple[str, ...]]:
    if not (match := _REVIEW.search(text)):
        return Request(text), (text,)
    rating, description, summary = (match[name].strip() for name in ("rating", "description", "summary"))
    task = f"Write my review of the product below, to which I gave an overall rating of {rating}; its summary is below:"
    query = "\n".join(part for part in (description, summary) if part)
    return Request(query or text, task), (description,)


def _post_asked(text: str) -> tuple[Request, tuple[str, ...]]:
    if not (match := _TOPIC.search(text)):
        return Request(text), (text,)
    summary = match["summary"].strip()
    return Request(summary, "Generate the content for a reddit post with the following summary:"), (summary,)


def _email_asked(text: str) -> tuple[Request, tuple[str, ...]]:
    instruction, mark, content = text.partition(":")
    if not content.strip():
        return Request(text), (text,)
    return Request(content.strip(), f"{instruction}{mark}"), (content,)


LAYOUTS = {
    "abstracts": Layout(("name",), _paper, _abstract_asked),
    "reviews": Layout(("reviewerId", "reviewerID"), _review, _review_asked),
    "topics": Layout(("author",), _post, _post_asked),
    "emails": Layout(("user", "name", "user_id", "id"), _email, _email_asked),
}


def items(path: Path, seed: int = 0, *, kind: str) -> list[Item]:
    """Return an item for every sample of one of the `LAYOUTS`, in the order of the file; nothing is drawn.

    path: a file with the rows of the official Parquet files as one JSON array or as JSON Lines, or a folder with one
    such file. A row has its user (abstracts: `name`; reviews: `reviewerId`; topics: `author`), `input`, `output` (the
    answer) and `profile`; a user's rows share one history where it is the same. The emails (Avocado) are not public, so
    their keys are those of LaMP-6: `title` or `subject`, and `text`, `content`, `body` or `email`.

    Records that give an item away are left out of its history (`measures.leaks`): the answer or nearly the same text, a
    paper with the same title, another review under the same description. A sample whose profile is then empty gives no
    item.

    Raises `InputError` for another file, a row without an output, and if no item is left.
    """
    layout, file = LAYOUTS[kind], rows_file(path)
    histories: dict[tuple[str, ...], History] = {}
    made: list[Item] = []
    counted: dict[str, int] = {}
    for number, row in enumerate(read_rows(file), 1):
        where = f"{file.name} row {number}"
        user, text, gold = _fields(row, layout, where)
        request, traces = layout.asked(text)
        records = _records(row, layout, where, kind)
        left = without_leaks(
            records, texts=[gold, *(trace for trace in (*traces, request.query) if identifying(trace))]
        )
        if not left:
            continue
        key = (user, *(record.id + record.content_hash() for record in left))
        history = histories.setdefault(key, History(left, user))
        counted[user] = counted.get(user, 0) + 1
        made.append(Item(f"{user}/{counted[user]}", history, request, gold))
    if not made:
        raise InputError(f"{file.name}: no row with a profile; expected a file of LongLaMP {kind}")
    return made


def rows_file(path: str | Path) -> Path:
    """Return the file that a path means. Raises `InputError` for Parquet, and for a folder without exactly one JSON
    file.
    """
    path = Path(path)
    found = sorted(f for f in path.iterdir() if f.suffix in (".json", ".jsonl")) if path.is_dir() else [path]
    if path.suffix == ".parquet" or (not found and any(path.glob("*.parquet"))):
        raise InputError(f"{path.name} is Parquet: expected JSON; write it with pandas' DataFrame.to_json(lines=True)")
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "no .json or .jsonl"
        raise InputError(f"{path} holds {names}: expected one such file; name the file instead of the folder")
    return found[0]


def read_rows(file: Path) -> Iterator[Sample]:
    """Yield the rows of a JSON array or of JSON Lines. Raises `InputError` for anything else."""
    with open_text(file) as text:
        start = text.read(1)
        while start.isspace():
            start = text.read(1)
        text.seek(0)
        rows = stream_items(text, file.name) if start == "[" else _lines(text, file.name)
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise InputError(f"{file.name} row {number} is no object: expected a file of LongLaMP")
            yield row


def _lines(lines: Iterable[str], name: str) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield replace_surrogates(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{name} line {number}: invalid JSON ({error}): the file is damaged or cut off"
                ) from None


def _fields(row: Sample, layout: Layout, where: str) -> tuple[str, str, str]:
    user = next((str(row[key]) for key in layout.users if row.get(key)), None)
    if user is None or not isinstance(row.get("profile"), list) or not str(row.get("input") or "").strip():
        raise InputError(
            f"{where}: expected {layout.users[0]!r}, 'input', 'output' and 'profile'; is this the right task?"
        )
    if not str(row.get("output") or "").strip():
        raise InputError(
            f"{where} ({user}): no 'output': expected the true text; a file without answers can't be measured"
        )
    return user, str(row["input"]), str(row["output"]).strip()


def _records(row: Sample, layout: Layout, where: str, kind: str) -> list[Record]:
    records = []
    for item in row["profile"]:
        try:
            fields = layout.record(item)
            if str(fields["reply"] or "").strip():
                fields |= {"text": str(fields["text"] or ""), "reply": str(fields["reply"])}
                records.append(Record(id=str(item.get("id") or ""), **fields))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{where}: a profile item doesn't fit {kind} ({problem}); check the task") from None
    return records


def _task(kind: str, what: str, max_new_tokens: int) -> Task:
    about = f"LongLaMP: {what} (Kumar et al. 2024, arXiv 2407.11016)"
    metrics = ("rouge1", "rougeL", "meteor")
    return Task(f"longlamp-{kind}", WRITTEN, partial(items, kind=kind), metrics, about, max_new_tokens)


ABSTRACTS_TASK = _task("abstracts", "abstracts of a researcher's papers", 256)
REVIEWS_TASK = _task("reviews", "reviews of products", 256)
TOPICS_TASK = _task("topics", "posts on a topic", 320)
EMAILS_TASK = _task("emails", "emails that are to be completed", 256)
