"""Erases what a user asks to forget, wherever the user said it: "forget that I live in Porto" (`forget`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from penchant.conversation.facts import records_of
from penchant.conversation.retention.mentions import Span, answers_with, mentions, says_more
from penchant.conversation.retention.wishes import ForgetRequest
from penchant.errors import InputError
from penchant.history.dialogue import Instruction, Turn
from penchant.history.records import Record
from penchant.history.supersession import STATEMENT
from penchant.store import Store
from penchant.store.erasure.verification import Search

CUT = "…"
"""Stands in a turn for what was taken out of it."""
_GAP = re.compile(rf"{CUT} +(?=\s)")


@dataclass(frozen=True)
class Forgotten:
    """What was erased on request. turns, redacted: (conversation, number) of the turns that were erased as a whole, and
    of those that lost only what they said of it. records, instructions: ids. left: ids of records that say it among
    other things; they aren't statements from a conversation, so they stay as they are. searched: for what the store's
    files were searched afterwards; None without a store, or if nothing was erased.
    """

    turns: tuple[tuple[str, int], ...] = ()
    redacted: tuple[tuple[str, int], ...] = ()
    records: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    searched: Search | None = None

    @property
    def anything(self) -> bool:
        """Whether something was erased."""
        return bool(self.turns or self.redacted or self.records or self.instructions)


@dataclass
class _Plan:
    """What will change: turns to erase, new texts of others, records to erase, and the texts that disappear."""

    erase: dict[str, set[int]] = field(default_factory=dict)
    rewrite: dict[str, dict[int, Turn]] = field(default_factory=dict)
    records: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def drop(self, conversation: str, turn: Turn) -> None:
        self.erase.setdefault(conversation, set()).add(turn.number)
        self.texts.append(turn.text)

    def redact(self, conversation: str, turn: Turn, spans: Sequence[Span]) -> None:
        left = replace(turn, text=without(turn.text, spans))
        self.rewrite.setdefault(conversation, {})[turn.number] = left
        self.texts += [turn.text[slice(*span)] for span in spans]


def without(text: str, spans: Iterable[Span]) -> str:
    """Return a text of the same length, so that offsets stay true, in which some characters are taken out."""
    for start, end in spans:
        text = text[:start] + CUT.ljust(end - start) + text[end:]
    return text


def planned(
    said: Iterable[tuple[str, Turn]],
    instructions: Sequence[Instruction],
    requests: Sequence[ForgetRequest],
    code: str,
    here: str,
) -> _Plan:
    """Return what has to change in a user's turns. said: (conversation, turn), those of a conversation in order. here:
    the conversation of the request.

    A turn that says nothing else is erased with its answers; another one loses what it says of it, as do answers that
    repeat it. A turn whose instruction says it is erased.
    """
    plan = _Plan()
    given = {(one.conversation, one.turn): one.text for one in instructions if one.turn is not None}
    for name, group in groupby(said, key=lambda pair: pair[0]):
        turns = [turn for _, turn in group]
        last = max((turn.number for turn in turns if turn.role == "user"), default=None)
        asked, touched = any(one.kind == "last" for one in requests) and name == here, "no"
        for turn in turns:
            if turn.role == "user":
                touched = "no"
                spans = _merged(span for one in requests for span in mentions(turn.text, one, code))
                told = given.get((name, turn.number), "")
                instructs = any(told and turn.text[slice(*span)] in told for span in spans)
                if (asked and turn.number == last) or (spans and (instructs or not says_more(turn.text, spans, code))):
                    touched = "erased"
                    plan.drop(name, turn)
                elif spans:
                    touched = "redacted"
                    plan.redact(name, turn, spans)
            elif touched == "erased":
                plan.drop(name, turn)
            else:
                repeated = _merged(
                    span
                    for one in requests
                    for span in answers_with(turn.text, one, code, direct=touched == "redacted")
                )
                if repeated and says_more(turn.text, repeated, code):
                    plan.redact(name, turn, repeated)
                elif repeated:
                    plan.drop(name, turn)
    return plan


def forget(store: Store, user: str, conversation: str, requests: Sequence[ForgetRequest], code: str) -> Forgotten:
    """Erase from a store what a user asks to forget, with everything that came from it; then search the store's files
    for it. code: the language of the requests.

    Raises `StoreError` if anything is left, or can't be removed.
    """
    conversations = store.conversations
    given = conversations.instructions(user, None)
    plan = planned(conversations.all_turns(user), given, requests, code, conversation)
    history = _records(store, user)
    _plan_records(plan, history, requests, code)
    gone = list(plan.records)
    if plan.records:
        store.forget_record(user, *plan.records)
    for name, texts in plan.rewrite.items():
        conversations.redact(user, name, {number: turn.text for number, turn in texts.items()})
        again = [_tidy(record) for turn in texts.values() for record in records_of(turn, name)]
        lost = [one for one in history if one.id in plan.records and one.meta.get("conversation") == name]
        again = [one for one in again if any(_overlap(one, other) for other in lost)]
        if again:
            store.add(user, again)
    for name, numbers in plan.erase.items():
        gone += conversations.forget_turns(user, name, numbers)
    kept = {one.id for one in conversations.instructions(user, None)}
    searched = store.search_remains(user, plan.texts, gone) if plan.texts else None
    return _receipt(plan, gone, tuple(one.id for one in given if one.id not in kept), searched)


def forget_in_memory(
    turns: Sequence[Turn], requests: Sequence[ForgetRequest], code: str, conversation: str
) -> tuple[list[Turn], Forgotten]:
    """The same for a conversation without a store. Returns the turns that are left, too."""
    plan = planned(((conversation, turn) for turn in turns), (), requests, code, conversation)
    return applied(turns, conversation, plan.erase, plan.rewrite), _receipt(plan, [], (), None)


def applied(
    turns: Iterable[Turn],
    conversation: str,
    erase: Mapping[str, set[int]],
    rewrite: Mapping[str, Mapping[int, Turn]],
) -> list[Turn]:
    """Return the turns of a conversation after a change."""
    gone, new = erase.get(conversation, set()), rewrite.get(conversation, {})
    return [new.get(turn.number, turn) for turn in turns if turn.number not in gone]


def _plan_records(plan: _Plan, history: Iterable[Record], requests: Sequence[ForgetRequest], code: str) -> None:
    """Plan the records that go: those of redacted turns, and any other that says nothing else."""
    for record in history:
        name, number = record.meta.get("conversation"), record.meta.get("turn")
        if number in plan.erase.get(str(name), set()):
            continue  # erased with its turn
        spans = _merged(span for one in requests for span in mentions(record.body, one, code))
        if not spans:
            continue
        again = record.kind == STATEMENT and number in plan.rewrite.get(str(name), {})  # its other words come back
        if again or not says_more(record.body, spans, code):
            plan.records.append(record.id)
            plan.texts.append(record.body)
        else:
            plan.left.append(record.id)


def _records(store: Store, user: str) -> Sequence[Record]:
    try:
        return tuple(store.history(user))
    except InputError:  # nothing is known about the user yet
        return ()


def _tidy(record: Record) -> Record:
    return replace(record, text=_GAP.sub(CUT, record.text))


def _overlap(one: Record, other: Record) -> bool:
    keys = ("conversation", "turn")
    return all(one.meta[key] == other.meta[key] for key in keys) and (
        one.meta["start"] < other.meta["end"] and other.meta["start"] < one.meta["end"]
    )


def _merged(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _receipt(plan: _Plan, records: Sequence[str], instructions: tuple[str, ...], searched: Search | None) -> Forgotten:
    def listed(some: Mapping[str, Iterable[int]]) -> Iterator[tuple[str, int]]:
        return ((name, number) for name, numbers in some.items() for number in sorted(numbers))

    return Forgotten(
        tuple(listed(plan.erase)),
        tuple(listed(plan.rewrite)),
        tuple(dict.fromkeys(records)),
        instructions,
        tuple(plan.left),
        searched,
    )
