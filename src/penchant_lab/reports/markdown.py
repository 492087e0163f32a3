"""A results document as Markdown: the verdict first, then the tables, then how it was measured."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from penchant_lab.reports import tables
from penchant_lab.reports.tables import Document, Table


def markdown(document: Document) -> str:
    """The report as GitHub's Markdown. document: as `penchant bench` writes it to results.json.

    Of several budgets, the tables by category show the first one alone; the page has them all.
    """
    parts = [f"# {title(document)}", "\n".join(f"- {_plain(one)}" for one in document["summary"]["verdict"])]
    reference = tables.references(document)
    parts += [] if reference is None else [_table(reference)]
    parts += [_table(one) for one in tables.methods(document)]
    parts += [_table(one) for one in tables.differences(document)]
    parts += [_table(tables.costs(document))]
    parts += [_table(one) for one in tables.categories(document, document["summary"]["budgets"][:1])]
    parts += [_table(one) for one in tables.category_differences(document, document["summary"]["budgets"][:1])]
    parts += ["## How it was measured", "\n".join(_setting(document))]
    return "\n\n".join(part for part in parts if part) + "\n"


def title(document: Document) -> str:
    return f"Bench {document['benchmark']}: {document['task']['name']}, {document['model']['name']}"


def _setting(document: Document) -> Iterator[str]:
    for name, value in tables.setting(document):
        yield f"- {name}: " + (f"`` {_line(value)} ``" if name == "Command" else _plain(value))
    yield from (f"- Method {_plain(name)}: {_plain(text)}" for name, text in tables.about(document))
    yield from (f"- {_plain(note)}" for note in document.get("notes") or ())


def _table(table: Table) -> str:
    lines = [f"## {_plain(table.title)}", "", _row(table.head), "|---|" + "--:|" * (len(table.head) - 1)]
    for position, row in enumerate(table.rows):
        cells = [_plain(cell) for cell in row]
        lines.append(_row([f"**{cells[0]}**", *cells[1:]] if position in table.strong else cells, escaped=True))
    return "\n".join([*lines, *(f"\n{_plain(note)}" for note in table.notes)])


def _row(cells: tuple[str, ...] | list[str], escaped: bool = False) -> str:
    return "| " + " | ".join(cell if escaped else _plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    """Escape text for Markdown, on one line. Names and messages come from outside."""
    escaped = re.sub(r"([\\|*_`~])|(?<=\])(?=\()|^(?=#)", r"\\\1", _line(text))
    return html.escape(escaped, quote=False)


def _line(text: str) -> str:
    return " ".join(text.split())
