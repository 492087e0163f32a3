"""`penchant chat`: a conversation in the terminal, or with a script."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from penchant.cli import chat_commands as commands
from penchant.cli import chat_views as views
from penchant.cli.chat_document import document
from penchant.cli.chat_session import Session, check_known
from penchant.cli.chat_terminal import Line, Waiting, next_turn, piped
from penchant.cli.output import JsonOption, StoreOption, emit, open_store, stderr
from penchant.cli.request import ModelOption
from penchant.conversation.factory import BUDGET, NOTES
from penchant.conversation.instructions.registry import DEFAULT_DETECTOR, DETECTORS
from penchant.conversation.registry import DEFAULT_MEMORY, MEMORIES
from penchant.conversation.session import MAX_NEW_TOKENS
from penchant.errors import InputError, PenchantError
from penchant.marking.registry import DEFAULT_MARKER
from penchant.models.loading import load_model
from penchant.personalizer import Personalizer
from penchant.store import Store
from penchant.store.keys import checked


def chat(
    *,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The user who is talking.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The conversation to continue or begin.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the newest conversation; with --name, that one, if it exists.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the user's conversations.")] = False,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="The system prompt.", show_default=False)
    ] = None,
    system_file: Annotated[
        Path | None,
        typer.Option("--system-file", metavar="FILE", help="A file with the system prompt.", show_default=False),
    ] = None,
    memory: Annotated[
        str,
        typer.Option("--memory", metavar="NAME", help=f"Chooses past exchanges: one of {', '.join(MEMORIES)}."),
    ] = DEFAULT_MEMORY,
    detector: Annotated[
        str,
        typer.Option("--detector", metavar="NAME", help=f"Finds instructions: one of {', '.join(DETECTORS)}."),
    ] = DEFAULT_DETECTOR,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            metavar="TOKENS",
            help=f"Most tokens of a prompt. Default: a quarter of the model's window, at most {BUDGET}.",
            show_default=False,
        ),
    ] = None,
    notes: Annotated[
        float,
        typer.Option("--notes", metavar="SHARE", help="Share of the prompt for the user's history; 0: none."),
    ] = NOTES,
    priority: Annotated[
        float,
        typer.Option("--priority", metavar="NATS", min=0, help="Extra attention to instructions, in nats."),
    ] = 0.0,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, metavar="N", help="Longest answer, in tokens.")
    ] = MAX_NEW_TOKENS,
    temperature: Annotated[
        float,
        typer.Option("--temperature", min=0, metavar="T", help="0: the most likely answer; above 0: a sampled one."),
    ] = 0.0,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Seed for sampling.", show_default=False)
    ] = None,
    model: ModelOption = "smollm2",
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda, mps. Default: the fastest there is.", show_default=False)
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="Default: the device's.", show_default=False)] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Chat with the model: it follows your standing instructions and remembers what you said. /help lists the commands.

    A script can write its turns to stdin, one per line. With --json every line is a turn, and commands don't apply.
    """
    checked(user)
    if not math.isfinite(temperature):
        raise InputError(f"--temperature {temperature}: expected a number from 0")
    system_prompt = _system(system, system_file)
    with open_store(store) as opened:
        if listed:
            _list(opened, user, as_json)
            return 0
        chosen = _chosen(opened, user, name, resume)
        waiting = Waiting()
        options: dict[str, Any] = {
            "memory": memory,
            "detector": detector,
            "budget": budget,
            "notes": notes,
            "priority": priority,
        }
        with waiting(f"loading {escape(model)}"):
            loaded: Any = load_model(model, device=device, dtype=dtype) if device or dtype else model
            # Without notes nothing is marked, so choose a marker that needs no calibration.
            marker = DEFAULT_MARKER if notes else "recency"
            personalizer = Personalizer(loaded, store=opened, marker=marker, progress=waiting.encoded)
            personalizer.conversation(**options)  # without a user: bad options are reported before anything is stored
        session = Session(
            user,
            opened,
            personalizer,
            waiting,
            at_terminal=not as_json and sys.stdin.isatty() and sys.stdout.isatty(),
            name=chosen,
            system=system_prompt,
            options=options,
            sampling={"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed},
        )
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        try:
            if as_json:
                texts = [text for text in sys.stdin.read().split("\n") if text.strip()]
                emit(document(session, texts), True, lambda: None)
                return 0
            return _at_terminal(session) if session.at_terminal else _scripted(session)
        finally:
            session.close()


def _system(text: str | None, file: Path | None) -> str | None:
    if file is None:
        return text
    if text is not None:
        raise InputError("--system and --system-file were both given: choose one")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"can't read the system prompt from {file} ({why}): expected a text file") from error


def _chosen(store: Store, user: str, name: str | None, resume: bool) -> str:
    """Return the name of the conversation to open; "" for a new one."""
    if name is not None:
        checked(name, "conversation")
        if resume:
            check_known(store, user, name)
        return name
    if not resume:
        return ""
    entries = store.conversations.list(user)
    if not entries:
        raise InputError(f"user {user!r} has no conversation to continue: leave out --resume to begin one")
    return next((entry for entry in entries if entry.turns), entries[0]).id


def _list(store: Store, user: str, as_json: bool) -> None:
    entries = store.conversations.list(user)
    rows = [
        {
            "name": one.id,
            "turns": one.turns,
            "begun": one.begun.isoformat(),
            "last": None if one.last is None else one.last.isoformat(),
            "opening": one.opening,
            "system": one.system,
        }
        for one in entries
    ]
    emit({"user": user, "conversations": rows}, as_json, lambda: views.show(views.conversations(entries)))


def _at_terminal(session: Session) -> int:
    from penchant.cli.chat_keyboard import Keyboard  # the line editor; scripts need none

    keyboard = Keyboard([*commands.COMMANDS, commands.QUIT])
    stderr.print(views.dim(f"{session.personalizer.loaded.name} · {session.options['memory']} memory · /help, Ctrl-D"))
    if session.old:
        commands.resumed(session)
    while (text := keyboard.turn()) is not None and text.strip() != commands.QUIT:
        _take(session, keyboard, text)
    return 0


class _Script:
    """Reads turns, and answers to questions, from a file or a pipe."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def turn(self) -> str | None:
        try:
            return next_turn(self._line)
        except EOFError:
            return None

    def answer(self, question: str) -> str:
        try:
            return self._line(False)
        except EOFError:
            return ""

    def forget(self) -> None:
        pass


def _scripted(session: Session) -> int:
    """Run a script: answers go to stdout, everything else to stderr; the exit code is 2 if a line failed."""
    script = _Script(piped(sys.stdin))
    done = True
    while (text := script.turn()) is not None and text.strip() != commands.QUIT:
        done = _take(session, script, text) and done
    return 0 if done else 2


def _take(session: Session, person: commands.Person, text: str) -> bool:
    """Says a text or runs a command; False if that failed."""
    try:
        if text.startswith("/") and not text.startswith("//"):
            commands.run(session, person, text)
        elif text.strip():
            commands.respond(session, session.say(text.removeprefix("/")))
    except PenchantError as error:
        session.reread()
        stderr.print(f"[red]{escape(' '.join(str(error).split()))}[/]", highlight=False, soft_wrap=True)
        return False
    except KeyboardInterrupt:
        if not session.at_terminal:
            raise
        session.reread()
        stderr.print("[yellow]interrupted[/]")
        return False
    return True
