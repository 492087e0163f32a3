"""Where an answer ends: at an end token, or before a stop text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from penchant.models.chat import PLAIN_END, ROLES, render_chat
from penchant.models.loading import LoadedModel
from penchant.text.reasoning import MARKS

NEXT_TURN = tuple(f"\n{role}:" for role in ROLES.values())
"""How a model without a chat template begins the next turn."""


def end_tokens(loaded: LoadedModel) -> set[int]:
    """Return all tokens that end an answer: the tokenizer's, the model's, and the chat template's end of turn."""
    found: set[int] = set()
    settings = getattr(loaded.model, "generation_config", None)
    for ids in (loaded.tokenizer.eos_token_id, loaded.model.config.eos_token_id, getattr(settings, "eos_token_id", 0)):
        found.update([ids] if isinstance(ids, int) else ids or ())
    special = set(loaded.tokenizer.all_special_ids) | set(loaded.tokenizer.added_tokens_decoder)
    if loaded.tokenizer.chat_template:
        answer = "zq"
        turn = [{"role": "user", "content": "a"}, {"role": "assistant", "content": answer}]
        after = render_chat(loaded, turn, add_generation_prompt=False).rpartition(answer)[2]
        ids = loaded.tokenizer(after, add_special_tokens=False)["input_ids"]
        found.update(ids[:1] if ids and ids[0] in special else ())
    return found


def stop_texts(loaded: LoadedModel, prompt: str | None = None) -> tuple[str, ...]:
    """Return the texts that end an answer besides the end tokens: for a model without a chat template, the next turn,
    if `prompt` is a conversation.
    """
    plain = not loaded.tokenizer.chat_template and (prompt is None or prompt.endswith(PLAIN_END))
    return NEXT_TURN if plain else ()


def cut_answer(loaded: LoadedModel, text: str) -> str:
    """Cut an answer that was generated without stop texts to what a user would see."""
    for stop in stop_texts(loaded):
        text = text.partition(stop)[0]
    return text.strip()


class AnswerText:
    """Decodes one answer incrementally. A character is never split, and no part of a stop text is ever returned;
    `stop` is the one that was found. Of the special tokens only those that mark reasoning are kept.
    """

    def __init__(self, loaded: LoadedModel, stops: Sequence[str] = ()) -> None:
        self.stop: str | None = None
        self._loaded, self._stops = loaded, [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._context = self._shown = 0
        self._held = ""
        added = loaded.tokenizer.added_tokens_decoder
        self._marks = {at: token.content for at, token in added.items() if token.special and token.content in MARKS}

    def add(self, token: int) -> str:
        """Add a token; return the text that is ready now, often none."""
        self._ids.append(token)
        text = self._new()
        if not text or text.endswith("\ufffd"):
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        return self._passed(text)

    def finish(self) -> str:
        """Return the text held back so far; call it when the answer has ended."""
        if self.stop is not None:
            return ""
        rest = self._passed(self._new())
        return rest if self.stop is not None else rest + self._held

    def _new(self) -> str:
        # Decoded with a few tokens before it, a token keeps its leading space; text that ends in the replacement
        # character is the beginning of an incomplete character.
        return self._decoded(self._context, len(self._ids))[len(self._decoded(self._context, self._shown)) :]

    def _decoded(self, start: int, end: int) -> str:
        ids = self._ids[start:end]
        if not self._marks.keys().isdisjoint(ids):
            runs = groupby(ids, self._marks.get)
            return "".join((mark or "") * len(run) or self._plain(run) for mark, run in ((m, list(r)) for m, r in runs))
        return self._plain(ids)

    def _plain(self, ids: list[int]) -> str:
        return str(self._loaded.tokenizer.decode(ids, skip_special_tokens=True))

    def _passed(self, text: str) -> str:
        """Return text up to the first stop text; a possible beginning of one is held back until it is known not
        to be.
        """
        text = self._held + text
        self._held = ""
        if found := [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]:
            at, self.stop = min(found, key=lambda pair: pair[0])
            return text[:at]
        keep = max((n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]
