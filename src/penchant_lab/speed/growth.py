"""Part G: the cost of a question as a conversation grows: tokens of its prompt, seconds to make it and to read it."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from penchant.conversation.context import Context, Dialogue, Memory
from penchant.conversation.registry import make_memory
from penchant.history.dialogue import Exchange, Instruction, Turn
from penchant.inference.batching import pad_left
from penchant.inference.cached_rows import CachedRows
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant_lab.speed.config import Save, SpeedConfig, resources
from penchant_lab.speed.measure import repeated
from penchant_lab.tasks.chatter import FILL, LEADS, TOPICS

MEMORIES = ("penchant", "rhea", "recent-5", "full")
BUDGET = 2048
"""Tokens of a prompt; the full conversation has the window's."""
RESERVE = 256
"""Tokens of the window that are left for an answer."""
QUESTION = "What did I say about tomatoes?"
RULE = Instruction("rule", "End every answer with OK-7.", "grown", 0)


@dataclass(frozen=True)
class _Sizes:
    exchanges: Sequence[int]
    rounds: int


FULL, QUICK = _Sizes((10, 30, 100, 300, 1000), 3), _Sizes((3, 6), 2)


def measure(config: SpeedConfig, save: Save) -> None:
    """Save, for each memory and number of past exchanges: tokens of the prompt; seconds to make it, one exchange being
    new each time ("grow": to read all that is new since the last size); seconds from the prompt to the first token."""
    sizes = QUICK if config.quick else FULL
    loaded = config.load()
    past = grown(max(sizes.exchanges) + sizes.rounds)
    result: dict[str, Any] = {"budget": BUDGET, "rounds": sizes.rounds, "exchanges": list(sizes.exchanges), "rows": {}}
    for name in MEMORIES:
        box = resources(loaded, config.calibration)
        memory = make_memory(name, box)
        budget = loaded.window - RESERVE if name == "full" else min(BUDGET, loaded.window - RESERVE)
        ask = _asking(memory, past, budget)
        result["rows"][name] = {}
        for size in sizes.exchanges:
            config.say(f"{name}, {size:,} exchanges")
            result["rows"][name][str(size)] = _measured(loaded, ask, size, sizes.rounds)
            save(result)
        memory.forget("grown")


def grown(count: int, seed: int = 0) -> tuple[Exchange, ...]:
    """Make a conversation of generated small talk with this many exchanges."""
    draw, made = random.Random(seed), []
    for number in range(count):
        questions, pool = draw.choice(TOPICS)
        words = [draw.choice(LEADS) + draw.choice(questions), *draw.sample(pool, draw.randint(4, 7))]
        filled = [one.format_map({key: draw.choice(some) for key, some in FILL.items()}) for one in words]
        user, answer = Turn(2 * number, "user", filled[0]), Turn(2 * number + 1, "assistant", " ".join(filled[1:]))
        made.append(Exchange(number, user, answer))
    return tuple(made)


def _asking(memory: Memory, past: Sequence[Exchange], budget: int) -> Callable[[int], Context]:
    return lambda count: memory.context(Dialogue(tuple(past[:count]), (RULE,), key="grown"), QUESTION, budget)


def _measured(loaded: LoadedModel, ask: Callable[[int], Context], size: int, rounds: int) -> dict[str, Any]:
    began = time.perf_counter()
    ask(size)
    grow, made = time.perf_counter() - began, list[Context]()
    seconds = repeated(lambda number: made.append(ask(size + number + 1)), rounds)
    first = [_first_token(loaded, context) for context in made[: 1 if made[-1].tokens > BUDGET else None]]
    return {
        "tokens": statistics.median(context.tokens for context in made),
        "tokens_fed": statistics.median(context.tokens_fed for context in made),
        "seconds": statistics.median(seconds),
        "worst": max(seconds),
        "grow": grow,
        "first_token": statistics.median(first),
    }


@torch.inference_mode()
def _first_token(loaded: LoadedModel, context: Context) -> float:
    """Seconds to read a prompt, nothing of it being cached."""
    prompt = pad_left([prompt_ids(loaded, render_chat(loaded, context.messages))])
    began = time.perf_counter()
    int(CachedRows.empty(loaded, 1, rewind=False).prefill(prompt)[0].argmax())
    return time.perf_counter() - began
