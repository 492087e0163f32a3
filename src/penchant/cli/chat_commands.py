"""The commands of `penchant chat`: lines that begin with a slash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.text import Text

from penchant.cli import chat_views as views
from penchant.cli.chat_session import Session
from penchant.cli.output import CUT, stderr
from penchant.conversation.answers import ChatAnswer, ErasedTurns
from penchant.errors import InputError, UnknownUserError
from penchant.history.dialogue import Instruction
from penchant.text.unicode import sanitize

QUIT = "/quit"
RESUMED = 4
"""How many turns are shown when a conversation is continued."""


class Person(Protocol):
    """Someone who can be asked."""

    def answer(self, question: str) -> str: ...

    def forget(self) -> None:
        """Drop the history of typed lines."""


@dataclass(frozen=True)
class Command:
    usage: str
    about: str
    run: Callable[[Session, Person, str], None]


def run(session: Session, person: Person, line: str) -> None:
    """Run a line that begins with a slash. Raises `InputError` for an unknown command or bad arguments."""
    name, _, rest = line.partition(" ")
    if name not in COMMANDS:
        raise InputError(
            f"no command {name!r}: expected one of {', '.join([*COMMANDS, QUIT])}; // begins a turn with a slash"
        )
    COMMANDS[name].run(session, person, rest.strip())


def respond(session: Session, answer: ChatAnswer | None) -> None:
    """Print what follows an answer."""
    if answer is not None:
        for line in (*views.learned(answer.given, answer.ended, answer.records), *views.retained(answer)):
            stderr.print(line)
        nothing = "no answer was given" + ("" if answer.off_record else "; /retry asks again")
        stderr.print(views.summary(answer) if answer.text else f"[yellow]{nothing}[/]")
        if answer.finish in CUT:
            again = "" if answer.off_record else "; it won't be read again, /retry answers again"
            stderr.print(f"[yellow]{CUT[answer.finish]}{again}[/]")
    elif session.conversation.unkept.newest or not session.conversation.exchanges:
        stderr.print("[yellow]stopped; nothing of it is kept[/]")
    elif session.conversation.exchanges[-1].assistant is None:
        stderr.print("[yellow]stopped before the answer began; /retry asks again[/]")
    else:
        stderr.print("[yellow]stopped; what was said is kept, /retry answers again[/]")


def resumed(session: Session) -> None:
    """Show where a conversation was left off."""
    turns = session.conversation.turns
    stderr.print(views.dim(f"{session.name}: {views.counted(len(turns), 'turn')}; /history shows them"))
    if turns:
        views.show(*views.history(turns, RESUMED))
    if session.conversation.unkept.lasting:
        stderr.print("[yellow]off the record: nothing is kept until you say that it may be[/]")
    past = session.conversation.exchanges
    if past and past[-1].assistant is None:
        stderr.print(f"[yellow]the answer to turn {past[-1].user.number} is missing; /retry answers it now[/]")


def _help(session: Session, person: Person, rest: str) -> None:
    known = {one.usage: one.about for one in COMMANDS.values()}
    writing = {
        "//…": "a turn that begins with a slash",
        "…\\": "continues on the next line",
        '"""': "begins and ends a turn of several lines",
        "Ctrl-C": "stops an answer; what was said is kept",
    }
    views.show(views.commands({**known, f"{QUIT}, Ctrl-D": "leave", **writing}))


def _instructions(session: Session, person: Person, rest: str) -> None:
    verb, _, given = rest.partition(" ")
    conversation, given = session.conversation, given.strip()
    if verb in {"", "all"}:
        if given:
            raise InputError(f"/instructions all takes nothing more, not {given!r}")
        known = conversation.instruction_store.all if verb else ()
        views.show(views.instructions(conversation.instructions, session.name, known))
    elif verb == "add":
        made = conversation.instruction_store.add(given)
        stderr.print(Text(f"+ {sanitize(made.text)}", style="green"))
    elif verb == "edit":
        number, _, text = given.partition(" ")
        old = _numbered(conversation.instructions, number)
        made = conversation.instruction_store.edit(old.id, text)
        stderr.print(Text(f"+ {sanitize(made.text)}", style="green"))
        stderr.print(Text.assemble(("- ", "yellow"), (sanitize(old.text), "strike")))
    elif verb == "end":
        ended = conversation.instruction_store.end(_numbered(conversation.instructions, given).id)
        stderr.print(Text.assemble(("- ", "yellow"), (sanitize(ended.text), "strike")))
    else:
        raise InputError(f"/instructions {verb}: expected add TEXT, edit N TEXT, end N, all, or nothing")


def _numbered(listed: tuple[Instruction, ...], number: str) -> Instruction:
    if number.isdecimal() and 1 <= int(number) <= len(listed):
        return listed[int(number) - 1]
    there = f"a number from 1 to {len(listed)}" if listed else "a standing one, and there is none"
    raise InputError(f"no instruction {number!r}: expected {there}; /instructions lists them")


def _why(session: Session, person: Person, rest: str) -> None:
    if session.last is None:
        raise InputError("/why is about the last complete answer of this session, and there is none yet")
    views.show(*views.why(session.last, session.name))


def _history(session: Session, person: Person, rest: str) -> None:
    if rest and not (rest.isdecimal() and int(rest)):
        raise InputError(f"/history {rest}: expected a number of turns, or nothing for all")
    turns = session.conversation.turns if session.name else ()
    views.show(*views.history(turns, int(rest) if rest else None))


def _search(session: Session, person: Person, rest: str) -> None:
    if not rest:
        raise InputError("/search needs words to look for")
    views.show(views.found(session.store.conversations.search(session.user, rest)))


def _forget(session: Session, person: Person, rest: str) -> None:
    if rest == "all":
        _forget_conversation(session, person)
        return
    words = rest.replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise InputError("/forget needs numbers of turns, or all for the conversation; /history shows the numbers")
    conversation = session.conversation
    numbers = [int(word) for word in words]
    known = {turn.number: turn for turn in conversation.turns}
    shown = "; ".join(f"{number} “{views.short(known[number].text)}”" for number in numbers if number in known)
    question = f"Erase turn {shown}, and what was learned from it?"
    if not all(number in known for number in numbers) or _agreed(person, question):
        erased = conversation.forget(numbers)  # raises for a turn that isn't there
        session.last = None
        person.forget()
        _tell(erased)


def _forget_conversation(session: Session, person: Person) -> None:
    if not session.name:
        raise InputError("there is nothing to forget: this conversation has not begun")
    conversation = session.conversation
    if not _agreed(person, f"Erase this whole conversation ({views.counted(len(conversation.turns), 'turn')})?"):
        return
    given = tuple(one for one in conversation.instruction_store.all if one.conversation == session.name)
    erased = ErasedTurns(conversation.turns, given, session.erase())
    person.forget()
    _tell(erased)


def _agreed(person: Person, question: str) -> bool:
    if person.answer(f"{question} [y/N] ").strip().lower() in {"y", "yes"}:
        return True
    stderr.print(views.dim("nothing was erased"))
    return False


def _tell(erased: ErasedTurns) -> None:
    numbers = ", ".join(str(turn.number) for turn in erased.turns)
    parts = [f"erased: {views.counted(len(erased.turns), 'turn')}" + (f" ({numbers})" if numbers else "")]
    parts.append(views.counted(len(erased.instructions), "instruction"))
    parts.append(views.counted(len(erased.records), "record"))
    stderr.print(Text(", ".join(parts), style="green"))


def _facts(session: Session, person: Person, rest: str) -> None:
    try:
        records = session.store.history(session.user)
    except UnknownUserError:
        views.show(views.dim("nothing is known about you yet"))
        return
    views.show(views.facts(records, session.name))


def _retry(session: Session, person: Person, rest: str) -> None:
    respond(session, session.retry())


def _resume(session: Session, person: Person, rest: str) -> None:
    if not rest:
        views.show(views.conversations(session.store.conversations.list(session.user)))
        return
    session.go(rest)
    resumed(session)


def _new(session: Session, person: Person, rest: str) -> None:
    session.go()
    stderr.print(views.dim("a new conversation"))


COMMANDS: dict[str, Command] = {
    "/help": Command("/help", "this list", _help),
    "/instructions": Command(
        "/instructions [all]",
        "your standing instructions; change them with add TEXT, edit N TEXT, end N",
        _instructions,
    ),
    "/why": Command("/why", "what the last answer was based on", _why),
    "/history": Command("/history [N]", "the conversation so far, or its last N turns", _history),
    "/search": Command("/search WORDS", "search all your conversations", _search),
    "/facts": Command("/facts", "what this conversation added to your history", _facts),
    "/forget": Command("/forget N | all", "erase turns and what was learned from them, or the conversation", _forget),
    "/retry": Command("/retry", "answer the last turn again, if its answer is missing or not complete", _retry),
    "/resume": Command("/resume [NAME]", "continue another conversation, or list them", _resume),
    "/new": Command("/new", "begin a new conversation", _new),
}
