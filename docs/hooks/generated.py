"""What MkDocs fills in when it builds: the command line's help, and the results that the benchmarks wrote.

A page names its place with a comment, as `<!-- generated: cli -->`: "cli", "results" or "bench".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
WIDTH = 88


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs' hook: the page with its places filled."""
    for name, make in {"cli": cli_reference, "results": results, "bench": bench}.items():
        place = f"<!-- generated: {name} -->"
        if place in markdown:
            markdown = markdown.replace(place, make())
    return markdown


def cli_reference() -> str:
    """A section for each command, with what its --help prints."""
    from penchant.cli.main import app

    runner, wide = CliRunner(), {"terminal_width": WIDTH, "max_content_width": WIDTH}
    parts = []
    for words in [[], *_paths(typer.main.get_command(app))]:
        shown = runner.invoke(app, [*words, "--help"], prog_name="penchant", **wide)
        if shown.exit_code != 0:
            raise RuntimeError(f"penchant {' '.join(words)} --help exited {shown.exit_code}: {shown.output}")
        parts.append(f"## penchant {' '.join(words)}".rstrip() + f"\n\n```text\n{shown.stdout.strip()}\n```")
    return "\n\n".join(parts)


def _paths(command: Any) -> Iterator[list[str]]:
    for name, child in getattr(command, "commands", {}).items():
        yield [name]
        for path in _paths(child):
            yield [name, *path]


def results() -> str:
    """The pages of results, their headings one level down, each under the name of its file where it has no heading."""
    pages = sorted(RESULTS.glob("*.md"), key=lambda page: page.stem)
    if not pages:
        return "No results are committed yet."
    return "\n\n".join(_demoted(page) for page in pages)


def bench() -> str:
    """The reports of `penchant bench`, their headings one level down."""
    pages = sorted(RESULTS.glob("*/report.md"), key=lambda page: page.parent.name)
    return "\n\n".join(_demoted(page) for page in pages) or "No report is committed yet."


def _demoted(page: Path) -> str:
    text = re.sub(r"^(#+ )", r"#\1", page.read_text(encoding="utf-8").strip(), flags=re.MULTILINE)
    text = text.replace("\\~", "~")  # an escape that GitHub needs and this Markdown doesn't know
    return text if text.startswith("#") else f"## {page.stem}\n\n{text}"
