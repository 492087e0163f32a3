"""Baseline: a running summary written by the model itself, and the last exchanges verbatim."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import RLock

from cachetools import LRUCache

from penchant.conversation.context import Context, Dialogue, Memory
from penchant.conversation.episodes import CONVERSATIONS, turns
from penchant.conversation.prompt_assembly import Candidate, assemble
from penchant.conversation.prompt_rendering import TokenCounter, dropped, raw
from penchant.conversation.retrieval import truncate
from penchant.history.dialogue import Exchange
from penchant.inference.generation import generate_stream
from penchant.marking.resources import Resources
from penchant.models.chat import ROLES, render_chat

RECENT = 2
"""At least this many exchanges follow the summary."""
BLOCK = 4
"""Exchanges added to the summary at a time, so that it doesn't depend on when it is requested."""
LIMIT = 128
"""Most tokens of the summary."""
_A_TURN = 256
"""Most tokens of a turn that the summary is made from."""

TASK = (
    "You keep a summary of a conversation. Write the new summary: what the user said, wants and asked for, with names, "
    "dates and facts. Be brief. Write only the summary."
)


def summary(resources: Resources) -> Memory:
    """A running summary by the model, and the newest exchanges.

    The summary has at most `LIMIT` tokens and covers all but the last `RECENT` exchanges. The model writes it greedily
    and updates it every `BLOCK` exchanges; it is kept under the dialogue's key.
    """
    return _Summary(TokenCounter(resources.loaded))


@dataclass
class _Summary:
    counter: TokenCounter
    _known: LRUCache[str, tuple[tuple[Exchange, ...], str]] = field(default_factory=lambda: LRUCache(CONVERSATIONS))
    _lock: RLock = field(default_factory=RLock)

    def context(self, dialogue: Dialogue, question: str, budget: int) -> Context:
        began = time.perf_counter()
        past = dialogue.past
        covered = max(0, len(past) - RECENT) // BLOCK * BLOCK
        with self._lock:
            known, text = self._known.get(dialogue.key, ((), ""))
            if known != past[: len(known)] or len(known) > covered:
                known, text = (), ""
            fed = 0
            for start in range(len(known), covered, BLOCK):
                text, tokens = self._written(text, past[start : start + BLOCK])
                fed += tokens
            if dialogue.key:
                self._known[dialogue.key] = past[:covered], text
        written = time.perf_counter() - began

        def candidate(position: int) -> Candidate:
            return Candidate(position, lambda: (raw(past[position], "recent"),))

        return assemble(
            self.counter,
            dialogue,
            question,
            budget,
            candidates=(candidate(position) for position in reversed(range(covered, len(past)))),
            rest=lambda position: dropped(past[position].number, "method"),
            contiguous=True,
            summary=text,
            tokens_fed=fed,
            seconds={"summarise": written},
        )

    def forget(self, key: str) -> None:
        with self._lock:
            self._known.pop(key, None)

    def _written(self, before: str, new: tuple[Exchange, ...]) -> tuple[str, int]:
        """The summary of what it said before and some new exchanges, and the tokens that went through the model."""
        room = min(_A_TURN, self.counter.loaded.window // (4 * BLOCK))
        lines = [f"{ROLES[turn.role]}: {truncate(self.counter, turn.text, room)}" for one in new for turn in turns(one)]
        asked = f"Summary so far:\n{before or 'Nothing yet.'}\n\nThen they said:\n" + "\n".join(lines)
        prompt = render_chat(
            self.counter.loaded, [{"role": "system", "content": TASK}, {"role": "user", "content": asked}]
        )
        made = "".join(
            generate_stream(self.counter.loaded, prompt, max_new_tokens=LIMIT, stop_repetition=False)
        ).strip()
        text = truncate(self.counter, made, LIMIT)
        return text, self.counter.text(prompt) + self.counter.text(text)
