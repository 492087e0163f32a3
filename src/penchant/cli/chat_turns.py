"""The turns of `penchant chat`, one after another: typed at a terminal, or read from a script."""

from __future__ import annotations

from rich.markup import escape

from penchant.cli import chat_commands as commands
from penchant.cli import chat_views as views
from penchant.cli.chat_session import Session
from penchant.cli.chat_terminal import Line, next_turn, piped
from penchant.cli.output import stderr
from penchant.cli.streams import stdin
from penchant.errors import PenchantError


def at_terminal(session: Session) -> int:
    from penchant.cli.chat_keyboard import Keyboard, at_the_terminal  # the line editor; scripts need none

    with at_the_terminal():
        keyboard = Keyboard([*commands.COMMANDS, commands.QUIT])
        stderr.print(views.dim(f"{session.answering} · {session.options['memory']} memory · /help, Ctrl-D"))
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


def scripted(session: Session) -> int:
    """Run a script: answers go to stdout, everything else to stderr; the exit code is 2 if a line failed."""
    script = _Script(piped(stdin()))
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
            answer = session.say(text.removeprefix("/"))
            commands.respond(session, answer)
            if session.conversation.unkept.newest or (answer is not None and answer.notice):
                person.forget()
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
