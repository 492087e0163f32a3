"""Tokens of a prompt and of its pieces, each piece counted once."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.compression.budget import count_tokens
from penchant.marking.lru import LRU, digest
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import opening_ids

_REMEMBERED = 65_536
_SAMPLE = "a"

Messages = Sequence[dict[str, str]]


class TokenCounter:
    """Counts for one model's prompts. Of a text that was counted only a digest and the number are kept."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._known: LRU[int] = LRU(_REMEMBERED)
        one = [{"role": "user", "content": _SAMPLE}]
        more = [*one, {"role": "assistant", "content": _SAMPLE}, *one]
        self.turn = max(0, (self.prompt(more) - self.prompt(one)) // 2 - self.text(_SAMPLE))
        """What the template adds to a message (an estimate: templates treat both sides alike)."""

    def text(self, text: str) -> int:
        """Tokens of a piece by itself; in a prompt it may take a few more or less."""
        key = digest(text)
        known = self._known.get(key)
        if known is None:
            known = count_tokens(self.loaded.tokenizer, text)
            self._known.put([(key, known)])
        return known

    def message(self, text: str) -> int:
        """About the tokens of a message with this content."""
        return self.text(text) + self.turn if text else 0

    def prompt(self, messages: Messages) -> int:
        """Tokens of the rendered prompt, exactly. Raises `InputError` for messages that the template refuses."""
        return len(opening_ids(self.loaded, render_chat(self.loaded, messages)))
