"""Dialogues for the tests of memories: random ones, small ones, and a model whose template is strict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st

from penchant.compression.profile import Profile
from penchant.conversation.context import Dialogue
from penchant.history.dialogue import Exchange, Instruction, Turn, exchanges
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel
from tests.families import TURN_END, tiny
from tests.index.cases import calibration_of, lens_of

STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system messages') }}{% endif %}"
    "{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "<|{{ m['role'] }}|>{{ m['content'] | trim }}" + TURN_END + "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Like Gemma's: no system message, and roles that alternate."""


@cache
def model(template: str = "usual") -> LoadedModel:
    """A tiny model; template "usual", "strict" (as `STRICT`), or "none"."""
    loaded = tiny("llama", chat=template != "none")
    if template == "strict":
        loaded.tokenizer.chat_template = STRICT
    return loaded


@cache
def resources() -> Resources:
    """Of a tiny model with a calibration made up for it."""
    lens = lens_of()
    return Resources(lens.loaded, calibration=calibration_of(lens))


def dialogue_of(pairs: Sequence[tuple[str, str | None]], **more: object) -> Dialogue:
    """A dialogue with these user turns and answers (None: missing)."""
    turns: list[Turn] = []
    for user, answer in pairs:
        turns.append(Turn(len(turns), "user", user))
        if answer is not None:
            turns.append(Turn(len(turns), "assistant", answer))
    return Dialogue(exchanges(turns), **more)  # type: ignore[arg-type]


def profile_of(text: str) -> Profile:
    return Profile(text, 5, 5, 50, (), (), "none", "none")


def instruction(text: str, number: int = 0) -> Instruction:
    return Instruction(f"i{number}", text)


_WORDS = (
    "sea",
    "peanuts.",
    "Tuesday?",
    "…",
    "日本語",
    "👩‍👩‍👧",
    "a\nb",
    "<|end|>",
    "<|user|>",
    "\x00",
    "é",
    "\ud800",
    "the film! ",
)
_text = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=12).map(" ".join)
_turn = st.one_of(_text, _text.map(lambda text: text * 9))


@st.composite
def dialogues(draw: st.DrawFn, key: str = "") -> Dialogue:
    """Random ones: missing answers, long turns, special tokens and broken characters in the text."""
    past = []
    for at in range(draw(st.integers(0, 6))):
        answer = draw(st.none() | _turn)
        turn = None if answer is None else Turn(2 * at + 1, "assistant", answer)
        past.append(Exchange(at, Turn(2 * at, "user", draw(_turn)), turn))
    given = tuple(instruction(text, at) for at, text in enumerate(draw(st.lists(_text, max_size=4))))
    notes = draw(st.none() | _text.map(profile_of))
    return Dialogue(tuple(past), given, draw(st.just("") | _text), notes, key)
