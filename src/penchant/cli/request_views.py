"""What `penchant mark`, `compress` and `ask` found, as JSON and for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from penchant.cli.output import CUT, stderr, stdout_console
from penchant.cli.streams import stdout
from penchant.text.unicode import sanitize

if TYPE_CHECKING:
    from penchant.answers import Answer
    from penchant.compression.profile import Profile
    from penchant.history.records import Segment
    from penchant.marking.marks import Marks
    from penchant.text.dates import TimeExpression

_TOP = 12


def segment_document(segment: Segment, score: float) -> dict[str, Any]:
    return {
        "record": segment.record_id,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "score": score,
    }


def date_document(one: TimeExpression) -> dict[str, Any]:
    """Return a date of the request; "to" is the first moment after it."""
    start, end = (None if when is None else when.isoformat() for when in (one.start, one.end))
    return {"text": one.text, "from": start, "to": end, "order": one.order}


def profile_document(profile: Profile) -> dict[str, Any]:
    return {
        "profile": profile.text,
        "tokens": profile.tokens,
        "budget": profile.budget,
        "history_tokens": profile.history_tokens,
        "ratio": round(profile.ratio, 2) if profile.tokens else None,
        "shortening": profile.shortening,
        "segments": [
            segment_document(segment, score) for segment, score in zip(profile.segments, profile.scores, strict=True)
        ],
        "marker": profile.marker,
        "compressor": profile.compressor,
        "fallback": profile.fallback,
        "reason": profile.reason,
        "mass_kept": profile.mass_kept,
        "seconds": {"encode": 0.0, "mark": 0.0, "compress": 0.0, **profile.seconds},
    }


def summary(profile: Profile) -> str:
    if not profile.tokens and profile.reason:
        return f"no profile: {profile.reason}"
    seconds = ", ".join(f"{name} {value:.2f} s" for name, value in profile.seconds.items())
    return (
        f"{profile.tokens} of {profile.budget} tokens for {profile.history_tokens:,} ({profile.shortening}), "
        f"{len(profile.segments)} segments, marker {profile.marker}; {seconds}"
    )


def warn_of_fallback(profile: Profile) -> None:
    """Say on stderr, whatever stdout gets, that a profile is not what was asked for."""
    if profile.fallback:
        stderr.print(f"[yellow]extracted instead of rewritten: {shown(profile.reason or '')}[/]", soft_wrap=True)


def shown(text: str) -> str:
    """Make a user's text safe for a rich table: no markup, no control characters."""
    return escape(sanitize(text))


def show_marks(marks: Marks, html: Path | None) -> None:
    table = Table("score", "record", "text", box=None, header_style="dim")
    for i in marks.ranked()[:_TOP]:
        segment = marks.segments[i]
        table.add_row(f"{marks.scores[i]:.2f}", shown(segment.record_id), shown(segment.text))
    stdout_console().print(table)
    heads = " ".join(f"{layer}.{head}" for layer, head in marks.heads)
    stderr.print(
        f"[dim]{len(marks.segments):,} segments, {marks.history_tokens:,} tokens; marker {marks.marker}"
        f"{f', heads {heads}' if heads else ''}; {marks.tokens_fed:,} tokens fed[/]"
    )
    if marks.dates:
        stderr.print(f"[dim]moved by {shown(', '.join(map(str, marks.dates)))}[/]")
    if html is not None:
        stderr.print(f"[dim]heat map: {escape(str(html))}[/]", soft_wrap=True)


def show_sources(answer: Answer) -> None:
    stdout().write("\n")
    if answer.finish in CUT:
        stderr.print(f"[yellow]the answer was {CUT[answer.finish]}[/]")
    if answer.served is not None:
        stderr.print(f"[dim]answered by {shown(answer.served.model)} at {shown(answer.served.base_url)}[/]")
    if answer.dropped_records:
        stderr.print(f"[yellow]the {answer.dropped_records:,} oldest records didn't fit the window[/]")
    if answer.steering is not None:
        stderr.print(f"[dim]{shown(str(answer.steering))}[/]")
    if answer.profile is None:
        stderr.print(f"[dim]{answer.prompt_tokens:,} prompt tokens, no profile[/]")
        return
    stderr.print(f"[dim]based on {summary(answer.profile)}[/]")
    table = Table(box=None, show_header=False)
    for segment, score in zip(answer.profile.segments, answer.profile.scores, strict=True):
        table.add_row(f"[dim]{score:.2f}[/]", f"[dim]{shown(segment.record_id)}[/]", shown(segment.text))
    stderr.print(table)
