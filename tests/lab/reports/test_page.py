import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from penchant.errors import InputError
from penchant_lab.bench.rows import Row
from penchant_lab.reports.markdown import markdown
from penchant_lab.reports.page import page
from penchant_lab.reports.plots import plots, variables
from tests.lab.synthetic import document, rows

pytestmark = pytest.mark.slow

VOID = {"meta", "br", "img", "link", "path", "use", "rect"}


class _Tree(HTMLParser):
    """Fails on tags that don't match, and gathers what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(html: str) -> _Tree:
    tree = _Tree()
    tree.feed(html)
    assert tree.open == []
    return tree


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return document(rows())


def test_page_is_whole_and_loads_nothing(found: dict[str, Any]) -> None:
    html = page(found)
    tree = _read(html)
    assert tree.counts["svg"] == 3 and tree.counts["table"] == tree.counts["caption"] == 1 + 3 + 3 + 1 + 2 + 6
    assert "script" not in tree.counts and "default-src 'none'" in html
    links = [value or "" for name, value in tree.attributes if name in ("href", "src", "xlink:href", "action")]
    assert links and all(link.startswith("#") for link in links)
    assert "url(http" not in html and "@import" not in html
    ids = [value for name, value in tree.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    words = " ".join("".join(tree.text).split())
    for sentence in found["summary"]["verdict"]:
        assert sentence in words
    assert len(html) < 400_000


def test_page_escapes_what_comes_from_outside(found: dict[str, Any]) -> None:
    html = page(found)
    assert "data/&lt;locomo&gt;" in html and "<locomo>" not in html and "first &lt;note&gt;" in html
    bad = [Row("<b>x</b>", f"i{at}", "u", 0, "2%", "<i>", error="<script>alert(1)</script>") for at in range(3)]
    tree = _read(page(document([*rows(12, 2), *bad])))
    assert "script" not in tree.counts and "b" not in tree.counts and "<script>alert(1)</script>" in "".join(tree.text)


def test_colours_of_the_plots_follow_the_theme(found: dict[str, Any]) -> None:
    themed, plain = plots(found, themed=True), plots(found)
    assert list(themed) == list(plain) == ["quality", "gains", "cost"]
    for name, svg in themed.items():
        assert "var(--accent)" in svg and "var(--ink)" in svg + themed["gains"]
        assert not re.findall(r"#(?:0[1-4]){3}|#1000", svg + plain[name])
        assert "var(" not in plain[name] and "#0b6066" in plain[name]
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#000000", "#ffffff"}
    css = page(found).split("</style>", maxsplit=1)[0]
    for variable, colour in variables().items():
        assert css.count(f"{variable}: #") == 2 and f"{variable}: {colour}" in css


def test_plots_name_every_method_and_are_the_same_again(found: dict[str, Any]) -> None:
    drawn = plots(found)
    for name in ("fusion", "bm25", "attn-gs", "rewriting"):
        assert all(f">{name}</text>" in svg for svg in drawn.values())
    for reference in ("no history", "full history", "gold evidence"):
        assert f">{reference}</text>" in drawn["quality"] and f">{reference}</text>" in drawn["gains"]
        assert f">{reference}</text>" not in drawn["cost"]
    assert plots(found) == drawn


def test_markdown_has_the_verdict_first_and_tables_that_parse(found: dict[str, Any]) -> None:
    text = markdown(found)
    assert text.startswith("# Bench compress: locomo, SmolLM2-135M-Instruct\n\n- The full history does not help here")
    html = MarkdownIt("commonmark").enable("table").render(text)
    tree = _read(html.replace("<hr>", ""))
    assert tree.counts["table"] == 1 + 3 + 3 + 1 + 2 + 2
    for table in html.split("<table>")[1:]:
        width = table.split("</tr>")[0].count("</th>")
        assert {row.count("<td") for row in table.split("</table>")[0].split("<tbody>")[1].split("</tr>")[:-1]} == {
            width
        }
    assert "## How it was measured" in text.splitlines() and text.count("**fusion**") == 3
    assert "<locomo>" in "".join(tree.text) and "locomo" not in tree.counts


def test_markdown_escapes_what_comes_from_outside() -> None:
    bad = [Row("a|b*c_d", f"i{at}", "u", 0, "2%", error="[x](http://y)\n# <b>`z`") for at in range(3)]
    text = markdown(document([*rows(12, 2), *bad]))
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "a|b*c_d at 2% failed 3 times, which is all of it: [x](http://y) # &lt;b&gt;`z`" in html
    assert "<a " not in html and "<b>" not in html


CASES = {
    "one item": rows(1, 1),
    "no references": rows(24, 12, methods=["bm25", "fusion"]),
    "references alone": rows(24, 12, methods=["none", "full"]),
    "only errors": [
        replace(Row("fusion", row.item, row.user, 0, "2%"), error="no") for row in rows(3, 1, methods=["none"])
    ],
    "no gold": rows(24, 3, methods=["none", "full", "fusion"]),
    "evidence alone": [replace(row, loss=None, metrics={}) for row in rows(24, 12, methods=["bm25", "fusion"])],
}


@pytest.mark.parametrize("case", CASES)
def test_little_is_enough(case: str) -> None:
    some = document(CASES[case])
    json.dumps(some, allow_nan=False)
    _read(page(json.loads(json.dumps(some))))
    assert "nan" not in markdown(some).replace("finance", "")
    if case == "only errors":
        assert plots(some) == {}


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"matplotlib.*pip install 'penchant\[bench\]'"):
        page(found)
    assert markdown(found)
