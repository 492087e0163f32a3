"""Conversations, instructions and contexts as tables, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from penchant.cli.chat_session import LastAnswer
from penchant.cli.output import CUT, stdout_console
from penchant.conversation.answers import ChatAnswer
from penchant.conversation.context import Context, Inclusion
from penchant.history.dialogue import Exchange, Instruction, Turn
from penchant.history.records import History
from penchant.history.supersession import STATEMENT, superseded
from penchant.store.conversation_list import ConversationEntry
from penchant.store.conversations import FoundTurn
from penchant.text.unicode import sanitize

SCOPES = {"conversation": "this conversation", "always": "always", "until": "until"}
REASONS = {
    "first": "the first exchange",
    "recent": "one of the last exchanges",
    "retrieved": "similar to the question",
    "unlike": "not similar to the question",
    "budget": "no room",
    "method": "chosen by the method",
}
_SHOWN = 48  # characters shown of a turn in a table
_DROPPED = 20  # how many dropped exchanges are listed at most


def show(*parts: RenderableType) -> None:
    """Print to stdout, for people."""
    console = stdout_console()
    for part in parts:
        console.print(part, highlight=False)


def dim(text: str) -> Text:
    return Text(sanitize(text), style="dim")


Entry = tuple[str, Text, str]
"""A number or mark, a text, and details."""


def listing(entries: Iterable[Entry]) -> RenderableType:
    """A list of entries, each with its details on a separate line, readable in a narrow window."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(justify="right", style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for number, text, about in entries:
        made.add_row(number, text)
        made.add_row("", dim(about))
    return made


def instructions(listed: Sequence[Instruction], here: str, known: Sequence[Instruction] = ()) -> RenderableType:
    """A numbered list of the instructions in force; those of `known` (all of them) that have ended follow, without
    numbers.
    """
    entries = [(str(number), Text(sanitize(one.text)), _about(one, here)) for number, one in enumerate(listed, 1)]
    for one in known:
        if not one.active:
            text = Text(sanitize(one.text), style="dim strike")
            entries.append(("", text, f"{_about(one, here)} · ended {moment(one.ended)}{_cause(one, known)}"))
    return listing(entries) if entries else dim("no standing instructions")


def _about(one: Instruction, here: str) -> str:
    source = "by you" if one.turn is None else f"in turn {one.turn}"
    elsewhere = f" of {one.conversation}" if one.conversation and one.conversation != here else ""
    return f"{_scope(one)} · given {moment(one.added)} {source}{elsewhere}"


def _cause(one: Instruction, known: Iterable[Instruction]) -> str:
    """What ended an instruction: you, its time, or the one that superseded it."""
    follower = next((other for other in known if other.id == one.ended_by), None)
    if follower is not None:
        return f" by “{short(follower.text)}”"
    return {"user": " by you", "until": " because its time had come"}.get(one.ended_by or "", "")


def learned(given: Sequence[Instruction], ended: Sequence[Instruction], facts: Sequence[str]) -> list[Text]:
    """A line for each thing that a turn changed."""
    lines = [
        Text.assemble(("+ instruction: ", "green"), sanitize(one.text), (f"  ({sanitize(_scope(one))})", "dim"))
        for one in given
    ]
    lines += [Text.assemble(("- instruction: ", "yellow"), (sanitize(one.text), "strike")) for one in ended]
    if facts:
        lines.append(Text(f"+ {counted(len(facts), 'record')} of what you said", style="green"))
    return lines


def retained(answer: ChatAnswer) -> list[Text]:
    """Lines on what isn't kept, unless the answer itself says so, and on what was erased."""
    lines = [Text(sanitize(answer.notice), style="green")] if answer.notice and answer.notice != answer.text else []
    if answer.off_record and not answer.notice:
        lines.append(Text("off the record: nothing of this is kept", style="green"))
    found = answer.forgotten.searched if answer.forgotten is not None else None
    if found is not None:
        searched = f"searched {counted(found.files, 'file')} of the store for it afterwards: nothing is left"
        lines.append(dim(searched))
    return lines


def _scope(one: Instruction) -> str:
    return one.until if one.scope == "until" and one.until else SCOPES[one.scope]


def summary(answer: ChatAnswer) -> Text:
    """The line below an answer."""
    context = answer.context
    kept = sum(one.how != "dropped" for one in context.inclusions)
    parts = [f"{context.tokens:,} of {context.budget:,} tokens"]
    if context.inclusions:
        parts.append(f"{kept} of {counted(len(context.inclusions), 'exchange')}")
    if context.instructions:
        parts.append(counted(len(context.instructions), "instruction"))
    if context.notes is not None and context.notes.segments:
        parts.append(counted(len(context.notes.segments), "note"))
    return dim(" · ".join([*parts, f"{sum(answer.seconds.values()):.1f} s"]))


def why(last: LastAnswer, here: str) -> list[RenderableType]:
    """What an answer was based on."""
    answer, context = last.answer, last.answer.context
    share = context.tokens / context.budget
    parts: list[RenderableType] = [
        Text.assemble(
            ("the prompt  ", "bold"),
            f"{context.tokens:,} of {context.budget:,} tokens ({share:.0%})",
            (f"; {context.tokens_fed:,} went through the model to choose them" if context.tokens_fed else "", "dim"),
        ),
        Text("instructions", style="bold"),
        _in(instructions(context.instructions, here) if context.instructions else dim("none")),
    ]
    if context.left_out:
        parts.append(
            _in(Text(f"left out for lack of room: {counted(len(context.left_out), 'instruction')}", style="yellow"))
        )
        parts += [_in(Text(sanitize(one.text), style="yellow")) for one in context.left_out]
    parts += [Text("past exchanges", style="bold"), *map(_in, _exchanges(context.inclusions, last.past))]
    parts.append(Text("notes from the history", style="bold"))
    parts.append(_in(_notes(context)))
    spent = " · ".join(f"{phase} {value:.2f} s" for phase, value in {**context.seconds, **answer.seconds}.items())
    return [*parts, Text.assemble(("seconds  ", "bold"), (spent, "dim"))]


def _in(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))


def _exchanges(kept: Sequence[Inclusion], past: Sequence[Exchange]) -> list[RenderableType]:
    if not kept:
        return [dim("none")]
    known = {one.number: one for one in past}
    dropped = [one for one in kept if one.how == "dropped"]
    listed = kept if len(dropped) <= _DROPPED else [one for one in kept if one.how != "dropped"]
    made = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("turn", "included", "because", "similarity", "you said"):
        numbers = name in {"turn", "similarity"}
        made.add_column(name, justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
    for one in listed:
        exchange = known[one.exchange]
        like = "" if one.similarity is None else f"{one.similarity:.2f}"
        style = "dim" if one.how == "dropped" else ""
        cells = (str(exchange.user.number), _how(one, exchange), REASONS[one.why], like, short(exchange.user.text))
        made.add_row(*(Text(cell, style=style) for cell in cells))
    if len(listed) == len(kept):
        return [made]
    reasons = ", ".join(
        f"{sum(one.why == why for one in dropped)} {REASONS[why]}"
        for why in REASONS
        if any(one.why == why for one in dropped)
    )
    return [made, dim(f"{counted(len(dropped), 'exchange')} dropped: {reasons}")]


def _how(one: Inclusion, exchange: Exchange) -> str:
    if one.how != "compressed" or exchange.assistant is None:
        return one.how
    share = sum(end - start for start, end in one.assistant) / len(exchange.assistant.text)
    return f"{one.how}, {share:.0%} of the answer"


def _notes(context: Context) -> RenderableType:
    if context.notes is None or not context.notes.segments:
        return dim("none")
    pairs = zip(context.notes.segments, context.notes.scores, strict=True)
    return listing((f"{score:.2f}", Text(sanitize(one.text)), f"record {one.record_id}") for one, score in pairs)


def history(turns: Sequence[Turn], last: int | None = None) -> list[RenderableType]:
    """The turns, or the last of them, with their numbers; missing and stopped answers are marked."""
    if not turns:
        return [dim("nothing has been said yet")]
    lines: list[tuple[str, Text]] = []
    for index, turn in enumerate(turns):
        mine = turn.role == "user"
        text = Text.assemble(("› ", "bold cyan") if mine else "", sanitize(turn.text))
        if turn.finish in CUT:
            text.append(f"  ({CUT[turn.finish]})", style="yellow")
        lines.append((str(turn.number), text))
        if mine and (index + 1 == len(turns) or turns[index + 1].role == "user"):
            lines.append(("", Text("(the answer is missing)", style="yellow")))
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(justify="right", style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for number, text in lines if last is None else lines[-last:]:
        made.add_row(number, text)
    return [made]


def found(turns: Sequence[FoundTurn]) -> RenderableType:
    if not turns:
        return dim("nothing found")
    return listing(
        (
            f"{one.score:.1f}",
            Text(short(one.turn.text, 200)),
            f"{'you' if one.turn.role == 'user' else 'the answer'} · turn {one.turn.number} of {one.conversation}",
        )
        for one in turns
    )


def facts(records: History, conversation: str) -> RenderableType:
    """The records that a conversation left, and what superseded them."""
    later = superseded(records)
    known = {record.id: record for record in records}
    entries: list[Entry] = []
    for one in records:
        if one.kind != STATEMENT or one.meta.get("conversation") != conversation:
            continue
        follower = known.get(later.get(one.id, ""))
        about = one.meta.get("about")
        parts = [sanitize(about)] if isinstance(about, str) else []
        if follower is not None:
            parts.append(f"until {moment(follower.when)}, then “{short(follower.body)}”")
        elif parts:
            parts.append("current")
        text = Text(sanitize(one.body), style="" if follower is None else "dim strike")
        entries.append((str(one.meta.get("turn", "")), text, " · ".join([*parts, f"record {one.id}"])))
    return listing(entries) if entries else dim("nothing was learned in this conversation")


def conversations(entries: Sequence[ConversationEntry]) -> RenderableType:
    if not entries:
        return dim("no conversations")
    return listing(
        (
            "·",
            Text(sanitize(one.id), style="bold"),
            f"{counted(one.turns, 'turn')} · {moment(one.last or one.begun)}" + (one.opening and f" · {one.opening}"),
        )
        for one in entries
    )


def commands(known: Mapping[str, str]) -> RenderableType:
    made = Table(box=None, show_header=False, pad_edge=False)
    for name, about in known.items():
        made.add_row(f"[bold]{escape(name)}[/]", f"[dim]{escape(about)}[/]")
    return made


def moment(when: datetime | None) -> str:
    """Local time, to the minute."""
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M}"


def short(text: str, length: int = _SHOWN) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(sanitize(text).split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
