import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from penchant.compression.profile import Profile
from penchant.history.records import History, Record, Request, Segment
from penchant.marking.heatmap import SHARES, heatmap_html, levels, safe
from penchant.marking.marks import Marks
from tests.marking.cases import START, halves, history_of, whole_records

HOSTILE = [
    "</script><script>window.pwned=1</script>",
    "</mark></p></article><img src=x onerror=window.pwned=1>",
    "<!--{style}--> <!-- --> ]]> &lt;b&gt; &amp;amp; ${x} {{x}}",
    '" onmouseover="window.pwned=1" x=\'',
    "\u202eright to left\u202c مرحبا \u2066x",
    "tabs\tand\r\nlines\n\n  and spaces",
    "emoji 🎉👩‍👩‍👧 and \U0010ffff",
]
VOID = {"meta", "input", "br", "img", "link"}


class Page(HTMLParser):
    """What a browser's parser would see: the text of every <mark> by id, all attributes, and open elements."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.marks: dict[str, str] = {}
        self.classes: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self._mark: str | None = None
        self.feed(html)
        self.close()
        assert self._open == [], "elements left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in VOID and tag != "!doctype":
            self._open.append(tag)
        if tag == "mark":
            self._mark = str(given["id"])
            assert self._mark not in self.marks, "a segment stands on the page twice"
            self.marks[self._mark] = ""
            self.classes[self._mark] = str(given["class"])

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "mark":
            self._mark = None

    def handle_data(self, data: str) -> None:
        if self._mark is not None:
            self.marks[self._mark] += data
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def marks_of(history: History, segments: list[Segment], scores: list[float] | None = None) -> Marks:
    values = np.asarray(scores if scores is not None else range(len(segments)), dtype=np.float32)
    return Marks(
        tuple(segments),
        values,
        "attention",
        heads=((3, 1), (2, 0)),
        layers_run=4,
        calibration="tiny",
        history_tokens=99,
    )


def profile_of(segments: list[Segment], text: str = "the profile") -> Profile:
    return Profile(text, 7, 10, 99, tuple(segments), (1.0,) * len(segments), "attention", "extractive", mass_kept=0.5)


def test_every_segment_is_there_once_with_its_exact_text() -> None:
    history = history_of(HOSTILE, days=9)
    segments = halves(history)
    page = Page(heatmap_html(history, Request("q"), marks_of(history, segments)))
    assert page.marks == {f"s{i}": s.text for i, s in enumerate(segments)}
    assert len(page.all("article")) == len(history)


def test_text_between_and_outside_of_segments_is_kept() -> None:
    history = History([Record("Before. One two. After <b>."), Record("no segment at all & more")])
    segments = [Segment(0, history[0].id, 8, 16, "One two.")]
    html = heatmap_html(history, Request("q"), marks_of(history, segments))
    assert "Before.  After <b>.no segment at all & more" in Page(html).texts["p"].replace("\n", "")


def test_overlapping_segments_lose_nothing() -> None:
    history = History([Record("abcdefgh")])
    segments = [Segment(0, "x", 0, 5, "abcde"), Segment(0, "x", 3, 8, "defgh"), Segment(0, "x", 4, 5, "e")]
    assert Page(heatmap_html(history, Request("q"), marks_of(history, segments))).marks == {
        "s0": "abcde",
        "s1": "defgh",
        "s2": "e",
    }


@pytest.mark.parametrize("hostile", [*HOSTILE, "\x00", "\udcff"])
def test_hostile_text_stays_text_everywhere(hostile: str) -> None:
    record = Record(f"text {hostile}", id=hostile, label=hostile, kind=hostile, when=START, reply=hostile)
    history = History([record], user=hostile)
    segments = whole_records(history)
    plain = History([Record("text x", id="x", label="x", kind="x", when=START, reply="x")], user="x")
    odd = replace(marks_of(history, segments), marker=hostile, calibration=hostile, seconds={hostile: 1.0})
    calm = replace(marks_of(plain, whole_records(plain)), marker="x", calibration="x", seconds={"x": 1.0})
    request, broken = Request(f"q {hostile}", hostile or None), replace(profile_of(segments, hostile), reason=hostile)
    page = Page(heatmap_html(history, request, odd, broken, title=hostile))
    same = Page(
        heatmap_html(plain, Request("q x", "x"), calm, replace(profile_of(whole_records(plain), "x"), reason="x"), "x")
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in same.tags]
    assert [sorted(attrs) for _, attrs in page.tags] == [sorted(attrs) for _, attrs in same.tags]
    assert page.texts["script"] == same.texts["script"]
    assert page.texts["style"] == same.texts["style"]


def test_characters_that_html_cannot_hold_become_visible() -> None:
    assert safe("a\x00b\x1b\x7f\udcff") == "a␀b␛␡?"
    assert safe("a\r\nb\tc") == "a&#13;\nb\tc"


def test_nothing_is_loaded_and_only_our_own_script_may_run() -> None:
    history = history_of(["plain text", "more"])
    html = heatmap_html(history, Request("q"), marks_of(history, whole_records(history)), profile_of([]))
    assert not re.search(r"https?:|url\(|@import|//[a-z0-9-]+\.[a-z]", html)
    page = Page(html)
    assert not {"link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert not {"src", "style"} & attrs.keys()
        assert not any(name.startswith("on") for name in attrs)
        assert str(attrs.get("href", "#")).startswith("#")
    policy = next(str(m["content"]) for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_records_are_grouped_by_month_in_time_order() -> None:
    dated = [Record(f"t{i}", when=START.replace(month=month)) for i, month in enumerate((1, 1, 3))]
    history = History([Record("first of all"), *dated, Record("no time of its own")])
    page = Page(heatmap_html(history, Request("q"), marks_of(history, whole_records(history))))
    assert [a["id"] for a in page.all("h2")[1:]] == ["m0", "m1", "m2"]
    for name in ("Undated", "January 2023", "March 2023"):
        assert name in page.texts["h2"]
    assert [t.get("class") for t in page.all("time")] == [None, "again", None]  # the date stands where the day changes
    assert list(page.marks.values()) == ["first of all", "t0", "t1", "t2", "no time of its own"]


def test_facts_profile_and_top_marks_are_shown() -> None:
    history = history_of([f"record number {i}" for i in range(40)])
    segments = whole_records(history)
    html = heatmap_html(
        history, Request("What now?", "Advise."), marks_of(history, segments), profile_of(segments[5:7])
    )
    page = Page(html)
    facts = page.texts["dd"]
    for fact in ("attention", "tiny", "40 records, 99 tokens", "7 of 10 tokens, 14x shorter", "2 heads, 4 layers"):
        assert fact in facts
    assert page.texts["pre"] == "the profile"
    assert [a["href"] for a in page.all("a")[1:]] == [f"#s{i}" for i in range(39, 27, -1)]
    assert {i for i, names in page.classes.items() if "p" in names.split()} == {"s5", "s6"}
    assert page.all("body")[0]["data-heads"] == "3.1, 2.0"


def test_a_part_of_a_segment_in_the_profile_underlines_the_segment() -> None:
    history = history_of(["one two three", "four"])
    part = Segment(0, "r0", 4, 7, "two")
    page = Page(heatmap_html(history, Request("q"), marks_of(history, whole_records(history)), profile_of([part])))
    assert ["p" in names.split() for names in page.classes.values()] == [True, False]


def test_an_empty_history_still_makes_a_page() -> None:
    page = Page(heatmap_html(History([]), Request("q"), marks_of(History([]), [])))
    assert page.marks == {}
    assert "0 records" in page.texts["dd"]


def test_shades_follow_ranks_whatever_the_scale() -> None:
    scores = np.arange(1000, dtype=np.float32)
    shades = levels(scores)
    assert [int((shades >= k + 1).sum()) for k in range(len(SHARES))] == [200, 100, 50, 20, 10]
    outlier = scores.copy()
    outlier[-1] = 1e30
    np.testing.assert_array_equal(levels(outlier), shades)
    np.testing.assert_array_equal(levels(np.exp(scores / 50)), shades)


def test_ties_share_a_shade_and_a_flat_history_has_none() -> None:
    mostly_zero = np.zeros(100, dtype=np.float32)
    mostly_zero[[3, 8]] = [2.0, 1.0]
    assert levels(mostly_zero).nonzero()[0].tolist() == [3, 8]
    assert levels(np.full(50, 0.3, dtype=np.float32)).tolist() == [0] * 50
    assert levels(np.zeros(0, dtype=np.float32)).tolist() == []
    assert levels(np.asarray([0.1, 0.9, 0.1], dtype=np.float32)).tolist() == [0, 5, 0]
    history = history_of(["a", "b"])
    html = heatmap_html(history, Request("q"), marks_of(history, whole_records(history), [1.0, 1.0]))
    assert "All segments have the same score" in html


def contrast(one: str, two: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [":root", ':root[data-theme="dark"]'])
def test_colours_keep_contrast_and_the_ramp_is_monotone(theme: str) -> None:
    html = heatmap_html(History([]), Request("q"), marks_of(History([]), []))
    block = html[html.index(theme + " {") :].split("}")[0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    pairs = [("ink", "paper"), ("ink", "raised"), ("dim", "paper"), ("dim", "raised"), ("accent", "paper")]
    pairs += [("accent", "raised"), ("on-accent", "accent"), *((f"i{k}", f"h{k}") for k in range(1, 6))]
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    ramp = [contrast(colours["paper"], colours[f"h{k}"]) for k in range(1, 6)]
    assert ramp == sorted(ramp)
    assert all(later / earlier > 1.1 for earlier, later in pairwise(ramp))
