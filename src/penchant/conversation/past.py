"""Past exchanges as later prompts may hold them: complete answers, without the reasoning before them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from penchant.history.dialogue import Exchange, Turn, exchanges
from penchant.text.reasoning import split_reasoning
from penchant.text.repetition import repeats


def marked(turn: Turn) -> Turn:
    """Return a stored turn; if it doesn't say why its answer ended (older stores, imports), an answer that repeats
    itself is marked as such.
    """
    loops = turn.role == "assistant" and turn.finish is None and repeats(turn.text)
    return replace(turn, finish="repetition") if loops else turn


def readable(turns: Iterable[Turn]) -> tuple[Exchange, ...]:
    """Return the exchanges of a conversation for later prompts: without answers that were cut off or repeated
    themselves, which a model would imitate, and without reasoning.
    """
    return tuple(replace(one, assistant=_readable(one.assistant)) for one in exchanges(turns))


def _readable(turn: Turn | None) -> Turn | None:
    if turn is None or turn.cut:
        return None
    answer = split_reasoning(turn.text).answer
    return replace(turn, text=answer) if answer else None
