"""Writes generated blocks into the documentation, from the code and the results: `python -m
penchant_lab.reports.generated`.

A page marks a block with a pair of comments, `<!-- NAME:begin -->` and `<!-- NAME:end -->`; the text between them is
the block NAME of `penchant_lab.reports.blocks` and is never edited by hand. With --check nothing is written; the exit
code is 1 if a page is out of date. MkDocs fills the same blocks when it builds the site, and some large ones (AT_BUILD)
only there.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from penchant_lab.reports.blocks import AT_BUILD, BLOCKS, FILES

ROOT = Path(__file__).resolve().parents[3]
_BEGIN = re.compile(r"<!-- ([a-z-]+):begin -->")


def pages(root: Path) -> Iterator[Path]:
    """The Markdown files that may hold blocks."""
    yield from (root / name for name in ("README.md", "CONTRIBUTING.md") if (root / name).is_file())
    yield from sorted((root / "docs").rglob("*.md"))


def fill(text: str, blocks: Mapping[str, Callable[[Path], str]], root: Path = ROOT) -> str:
    """Return the page with its blocks rewritten; those that aren't in `blocks` are unchanged.

    Raises `ValueError` for a name that no block has, and for a beginning without its end.
    """
    parts, at = [], 0
    for begin in _BEGIN.finditer(text):
        name, end = begin[1], text.find(f"<!-- {begin[1]}:end -->", begin.end())
        if name not in BLOCKS and name not in AT_BUILD:
            known = ", ".join(sorted({*BLOCKS, *AT_BUILD}))
            raise ValueError(f"no block {name!r}: expected one of {known}")
        if end < 0:
            raise ValueError(f"{begin[0]} has no <!-- {name}:end -->: add it behind the block")
        if name in blocks:
            parts += [text[at : begin.end()], "\n", blocks[name](root).strip("\n"), "\n"]
            at = end
    return "".join([*parts, text[at:]])


def _wanted(root: Path) -> Iterator[tuple[Path, str]]:
    """Return every page and generated file of a checkout, with its expected content."""
    for page in pages(root):
        yield page, fill(page.read_text(encoding="utf-8"), BLOCKS, root)
    if (root / "pyproject.toml").is_file():
        yield from ((root / name, make(root)) for name, make in FILES.items())


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.reports.generated", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout whose pages are written")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is out of date")
    options = parser.parse_args(given)
    stale = []
    for file, new in _wanted(options.root):
        if not file.is_file() or file.read_text(encoding="utf-8") != new:
            stale.append(file.relative_to(options.root).as_posix())
            if not options.check:
                file.write_text(new, encoding="utf-8")
    if options.check and stale:
        print(f"out of date: {', '.join(stale)}. Run `make docs-update`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
