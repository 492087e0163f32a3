"""The blog of 18F (a former office of the United States government; CC0): an author's next headline, as in LaMP-4."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.importers.reading import open_text, parse_time
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import split_together, without_leaks
from penchant_lab.tasks.task import WRITTEN, Task

#: The blog's own name stands for whoever wrote in it: no user.
ORGANISATION = "18F"

#: Earlier posts that an author must have for a post to be asked about.
FEWEST_EARLIER = 4

#: Words of a post that are asked with, in whole paragraphs: LaMP-4 asks with short articles as well.
OPENING_WORDS = 200

TASK_WORDS = "Write the headline of the following blog post:"


def items(path: Path, seed: int = 0) -> list[Item]:
    """Return an item for every post whose author had written at least `FEWEST_EARLIER` posts before it, by date;
    nothing is drawn.

    path: posts.jsonl, or its folder: one post a line with id, date, title, authors and text. A post without a date gets
    the one that its id begins with. The request is the opening of the post and the answer its headline. The history
    consists of the same author's posts of earlier dates, whole and with their headlines, without those that give the
    headline or the text away.

    A post by several authors becomes one item, with the longest history (if equally long, that of the author named
    first), and appears in the later histories of each. The author "18F" is the organisation and not a person, so it is
    no user.

    Raises `InputError` for another file.
    """
    posts = read_posts(path)
    made = []
    for record, authors in posts:
        choices = [_history(record, author, posts) for author in authors if author != ORGANISATION]
        history = max(choices, key=len, default=None)
        if history is not None and len(history) >= FEWEST_EARLIER:
            request = Request(opening(record.text), TASK_WORDS)
            made.append(Item(f"{history.user}/{record.id}", history, request, record.reply or ""))
    if not made:
        raise InputError(
            f"{Path(path).name}: no author with a post after {FEWEST_EARLIER} others; expected the posts of a blog"
        )
    return made


def read_posts(path: Path) -> list[tuple[Record, tuple[str, ...]]]:
    """Return every post (text; headline as reply) with its authors, by date. Raises `InputError` for another file."""
    file = Path(path) / "posts.jsonl" if Path(path).is_dir() else Path(path)
    posts: dict[str, tuple[Record, tuple[str, ...]]] = {}
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                record, authors = _post(line, f"{file.name} line {number}")
                if record.id in posts:
                    raise InputError(f"{file.name} line {number}: a second post {record.id!r}; expected each id once")
                posts[record.id] = record, authors
    return sorted(posts.values(), key=lambda post: (str(post[0].when), post[0].id))


def opening(text: str) -> str:
    """Return the first paragraphs of a text, up to `OPENING_WORDS` words: at least one paragraph, which is cut if it is
    longer.
    """
    taken: list[str] = []
    words = 0
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        words += len(paragraph.split())
        if taken and words > OPENING_WORDS:
            break
        taken.append(paragraph.strip())
    if len(taken) == 1 and words > OPENING_WORDS:
        return " ".join(taken[0].split()[:OPENING_WORDS])
    return "\n\n".join(taken)


def _history(post: Record, author: str, posts: list[tuple[Record, tuple[str, ...]]]) -> History:
    own = [record for record, authors in posts if author in authors]
    texts = (post.text, opening(post.text), post.reply or "")
    return History(without_leaks(own, texts=texts, before=post.when, ids={post.id}), author)


def _post(line: str, where: str) -> tuple[Record, tuple[str, ...]]:
    try:
        post: Any = json.loads(line)
        authors, title, text, name = post["authors"], str(post["title"]), str(post["text"]), str(post["id"])
        if not isinstance(authors, list) or not title.strip() or not text.strip():
            raise ValueError("expected a list of authors, a title and a text")
        date = str(post.get("date") or "")
        when = parse_time(date if date[:4].isdecimal() else name[:10])
        if when is None:
            raise ValueError("expected a date")
        return Record(text, id=name, reply=title, when=when, kind="article"), tuple(map(str, dict.fromkeys(authors)))
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else "no JSON object"
        raise InputError(f"{where}: {problem}; expected a post with id, date, title, authors and text") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: invalid JSON ({error.msg}): the file is damaged or cut off") from None
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


TASK = Task(
    "18f-headlines",
    WRITTEN,
    items,
    ("rouge1", "rougeL", "meteor"),
    "headlines of posts by authors of the 18F blog, by how they open, as in LaMP-4",
    max_new_tokens=32,
    split=split_together,
)
