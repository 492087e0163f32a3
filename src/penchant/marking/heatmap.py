"""The heat map of a history: one self-contained HTML page that shows the marks for a request."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from itertools import groupby
from typing import Protocol

import numpy as np
import numpy.typing as npt

from penchant.history.records import History, Record, Request, Segment
from penchant.marking.marks import Marks

# The level of a segment is how many of these top shares of the history it belongs to: 5 is the top 1 %, 0 the rest.
SHARES = (0.20, 0.10, 0.05, 0.02, 0.01)
TOP_LISTED = 12
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_CONTROLS = {c: chr(0x2400 + c) for c in range(32) if chr(c) not in "\n\t\r"} | {0x7F: "␡", 0x0D: "&#13;"}


class ProfileLike(Protocol):
    """The part of a `Profile` that the page needs (`Profile` is defined in a higher layer, so it can't be imported
    here).
    """

    @property
    def text(self) -> str: ...
    @property
    def tokens(self) -> int: ...
    @property
    def budget(self) -> int: ...
    @property
    def history_tokens(self) -> int: ...
    @property
    def segments(self) -> tuple[Segment, ...]: ...
    @property
    def compressor(self) -> str: ...
    @property
    def fallback(self) -> bool: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def mass_kept(self) -> float: ...
    @property
    def shortening(self) -> str: ...


def heatmap_html(
    history: History,
    request: Request,
    marks: Marks,
    profile: ProfileLike | None = None,
    title: str = "Penchant heat map",
) -> str:
    """Return an HTML page with the whole history in time order, each segment shaded by its mark.

    Shading is by rank (top 20, 10, 5, 2, 1 %), so that one outlier can't bleach the rest. Segments in the profile are
    underlined. The page loads nothing: styles and script are inline, and a content security policy admits only those
    two by their hashes. Histories are untrusted text: all of it is escaped, control characters are shown as their
    pictures, and each segment is isolated from its neighbours' writing direction.
    """
    style, script = _asset("heatmap.css"), _asset("heatmap.js")
    parts = {
        "csp": f"default-src 'none'; style-src '{_sha(style)}'; script-src '{_sha(script)}'; "
        "base-uri 'none'; form-action 'none'",
        "title": safe(title),
        "style": style,
        "script": script,
        "query": safe(request.query),
        "task": f'<p class="task" dir="auto">{safe(request.task)}</p>' if request.task else "",
        "facts": _facts(history, marks, profile),
        "profile": _profile(profile),
        "legend": _legend(marks, profile),
        "top": _top(history, marks),
        "history": "".join(_months(history, _Shading.of(marks, profile))),
        "heads": safe(_heads(marks)),
        "segments": str(len(marks.segments)),
        "records": str(len(history)),
    }
    # One pass, so that inserted text isn't searched for placeholders.
    return re.sub(r"<!--\{(\w+)\}-->", lambda position: parts[position.group(1)], _asset("heatmap.html"))


def safe(text: str) -> str:
    """Escape text for HTML content and quoted attributes. NUL and other characters that HTML can't contain become ␀
    etc.
    """
    escaped = html.escape(text, quote=True).translate(_CONTROLS)
    return escaped.encode("utf-8", "replace").decode()


def levels(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Return the shade of each score, 0 to 5, by the share of scores above it; ties share a shade, and if all are equal
    it is 0.
    """
    if len(scores) == 0 or scores.min() == scores.max():
        return np.zeros(len(scores), dtype=np.intp)
    ordered = np.sort(scores)
    above = len(scores) - np.searchsorted(ordered, scores, side="right")
    equal = len(scores) - above - np.searchsorted(ordered, scores, side="left")
    share = (above + (equal - 1) / 2) / len(scores)
    return np.asarray((share[:, None] < np.asarray(SHARES)).sum(axis=1), dtype=np.intp)


def _asset(name: str) -> str:
    return files("penchant.marking").joinpath(name).read_text("utf-8")


def _sha(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _facts(history: History, marks: Marks, profile: ProfileLike | None) -> str:
    tokens = marks.history_tokens or (profile.history_tokens if profile else 0)
    size = f"{len(history):,} records" + (f", {tokens:,} tokens" if tokens else ", tokens not counted")
    rows = [("User", history.user)] if history.user else []
    rows += [("Marker", marks.marker), ("Calibration", marks.calibration or "none"), ("History", size)]
    if marks.dates:
        rows.append(("Dates", "; ".join(map(str, marks.dates))))
    if profile:
        rows.append(("Profile", f"{profile.tokens:,} of {profile.budget:,} tokens, {profile.shortening}"))
    read = [f"{len(marks.heads)} heads"] if marks.heads else []
    read += [f"{marks.layers_run} layers"] if marks.layers_run else []
    read += [f"{marks.tokens_fed:,} tokens fed"] if marks.tokens_fed else []
    if read:
        rows.append(("Read", ", ".join(read)))
    if marks.seconds:
        phases = ", ".join(f"{name} {value:.2g}" for name, value in marks.seconds.items())
        rows.append(("Seconds", f"{sum(marks.seconds.values()):.2g} ({phases})"))
    return "".join(f"<div><dt>{safe(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in rows)


def _profile(profile: ProfileLike | None) -> str:
    if profile is None:
        return ""
    note = f"{profile.compressor}, {len(profile.segments)} segments, {profile.mass_kept:.0%} of the marking mass kept"
    if profile.fallback:
        note += f"; fell back to extraction: {profile.reason or 'no reason given'}"
    return (
        f'<details class="fold" id="profile"><summary>Profile <span class="dim">{safe(note)}</span></summary>'
        f'<pre dir="auto" tabindex="0" aria-label="Profile text">{safe(profile.text)}</pre></details>'
    )


def _legend(marks: Marks, profile: ProfileLike | None) -> str:
    if len(marks.scores) and marks.scores.min() == marks.scores.max():
        return '<p class="legend">All segments have the same score.</p>'
    steps = "".join(
        f'<span class="step"><i class="swatch h{level}" aria-hidden="true"></i>{share:.0%}</span>'
        for level, share in enumerate(SHARES, start=1)
    )
    inside = '<span class="step"><span class="p">in the profile</span></span>' if profile else ""
    return f'<p class="legend"><span>Top</span>{steps}{inside}</p>'


def _top(history: History, marks: Marks) -> str:
    items = []
    for rank, position in enumerate(marks.ranked()[:TOP_LISTED], start=1):
        segment = marks.segments[position]
        flat = " ".join(segment.text.split())
        short = flat if len(flat) <= 110 else flat[:109].rstrip() + "…"
        when = history[segment.record].when
        date = f'<span class="dim">{_day(when)}</span>' if when else ""
        items.append(f'<li><a href="#s{position}"><b>{rank}</b><span><bdi>{safe(short)}</bdi> {date}</span></a></li>')
    return "".join(items)


def _heads(marks: Marks) -> str:
    named = [f"{layer}.{head}" for layer, head in marks.heads[:12]]
    more = f" and {len(marks.heads) - 12} more" if len(marks.heads) > 12 else ""
    return ", ".join(named) + more


def _day(when: datetime) -> str:
    return f"{when.day} {_MONTHS[when.month - 1][:3]} {when.year}"


@dataclass(frozen=True, slots=True)
class _Shading:
    """The marks arranged by record, with rank and shade, and the parts of each record that are in the profile."""

    marks: Marks
    ranks: npt.NDArray[np.intp]
    shades: npt.NDArray[np.intp]
    of_record: dict[int, list[int]]
    kept: dict[int, list[Segment]]

    @classmethod
    def of(cls, marks: Marks, profile: ProfileLike | None) -> _Shading:
        kept: dict[int, list[Segment]] = {}
        for segment in profile.segments if profile else ():
            kept.setdefault(segment.record, []).append(segment)
        of_record: dict[int, list[int]] = {}
        for position in sorted(range(len(marks.segments)), key=lambda i: (marks.segments[i].start, i)):
            of_record.setdefault(marks.segments[position].record, []).append(position)
        ranks = np.empty(len(marks.segments), dtype=np.intp)
        ranks[marks.ranked()] = np.arange(1, len(ranks) + 1)
        return cls(marks, ranks, levels(marks.scores), of_record, kept)

    def peak(self, position: int) -> int:
        return max((int(self.shades[i]) for i in self.of_record.get(position, ())), default=0)


def _months(history: History, shading: _Shading) -> Iterator[str]:
    """The history, one section per month; a record without a time stays with the one before it, as in `History`."""
    times: list[datetime | None] = []
    for record in history:
        times.append(record.when or (times[-1] if times else None))
    months = groupby(range(len(history)), key=lambda i: (t.year, t.month) if (t := times[i]) else None)
    for number, (month, positions) in enumerate(months):
        name = f"{_MONTHS[month[1] - 1]} {month[0]}" if month else "Undated"
        shown: datetime | None = None
        articles = []
        for position in positions:
            record = history[position]
            new_day = record.when is not None and (shown is None or record.when.date() != shown.date())
            shown = record.when or shown
            body = "".join(_body(record, position, shading))
            articles.append(_article(record, times[position], shading.peak(position), body, new_day))
        yield f'<section aria-labelledby="m{number}"><h2 id="m{number}">{name}</h2>{"".join(articles)}</section>'


def _article(record: Record, time: datetime | None, peak: int, body: str, new_day: bool) -> str:
    seconds = f' data-t="{time.timestamp():.0f}"' if time else ""
    when = f"{_day(record.when)}, {record.when:%H:%M} UTC" if record.when else ""
    label = "" if record.label is None else str(record.label)
    stamp = ""
    if record.when:  # repeated dates are hidden unless a filter hides the record that shows the date
        again = "" if new_day else ' class="again"'
        stamp = f'<time datetime="{record.when.isoformat()}"{again}>{_day(record.when)}</time>'
    return (
        f'<article data-l="{peak}"{seconds} data-id="{safe(record.id)}" data-when="{when}"'
        f' data-kind="{safe(record.kind or "")}" data-label="{safe(label)}">'
        f'<div class="gutter">{stamp}</div><i class="bar b{peak}" aria-hidden="true"></i>'
        f'<p dir="auto">{body}</p></article>'
    )


def _body(record: Record, position: int, shading: _Shading) -> Iterator[str]:
    """The record's text with its segments as <mark>; text between segments is unchanged."""
    body, cursor, kept = record.body, 0, shading.kept.get(position, ())
    for i in shading.of_record.get(position, ()):
        segment = shading.marks.segments[i]
        yield safe(body[cursor : max(cursor, segment.start)])
        taken = any(s.start < segment.end and segment.start < s.end for s in kept)
        yield (
            f'<mark id="s{i}" class="h{shading.shades[i]}{" p" if taken else ""}" data-n="{shading.ranks[i]}"'
            f' data-v="{shading.marks.scores[i]:.4g}" tabindex="-1">{safe(segment.text)}</mark>'
        )
        cursor = max(cursor, segment.end)
    yield safe(body[cursor:])
