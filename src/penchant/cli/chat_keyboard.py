"""Keyboard input of `penchant chat`: a line editor with completion and a history."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from prompt_toolkit import PromptSession, prompt
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.input import create_input
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle

from penchant.cli.chat_terminal import next_turn
from penchant.cli.output import stderr
from penchant.cli.streams import stdin, stdout


def at_the_terminal() -> AbstractContextManager[object]:
    """In this context, keyboards use the streams of the command."""
    return create_app_session(create_input(stdin()), create_output(stdout()))


class Keyboard:
    """A line editor with a history. The history is in memory only: what a user says is kept in the store and nowhere
    else.
    """

    def __init__(self, words: Iterable[str]) -> None:
        """words: completed by the tab key at the beginning of a line."""
        self._words = WordCompleter([f"{word} " for word in sorted(words)], sentence=True)
        self._interrupted = self._continues = False
        self.forget()

    def line(self, continues: bool) -> str:
        self._continues = continues
        return self._session.prompt([("", "… ")] if continues else [("bold ansicyan", "› ")])

    def turn(self) -> str | None:
        """The next turn; None when the user leaves with Ctrl-D, or with Ctrl-C twice on an empty line."""
        while True:
            try:
                text = next_turn(self.line)
                self._interrupted = False
                return text
            except EOFError:
                return None
            except KeyboardInterrupt:
                empty = not self._continues and not self._session.default_buffer.text
                if self._interrupted and empty:
                    return None
                self._interrupted = True
                stderr.print("[dim]press Ctrl-C again, or Ctrl-D, to end the chat[/]")

    def answer(self, question: str) -> str:
        """The answer to a question; "" for Ctrl-C and Ctrl-D. It isn't put into the history."""
        try:
            return prompt(question)
        except (EOFError, KeyboardInterrupt):
            return ""

    def forget(self) -> None:
        """Drop the history: nothing that was typed can be brought back."""
        self._session: PromptSession[str] = PromptSession(
            completer=self._words,
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            enable_suspend=True,
        )
