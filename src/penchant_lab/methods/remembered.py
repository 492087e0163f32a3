"""Memories of a conversation as methods of the bench, with ablations and references."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from penchant.compression.budget import count_tokens
from penchant.conversation.attention_priority import instruction_emphasis
from penchant.conversation.context import Context, Dialogue, Memory
from penchant.conversation.instructions.registry import make_detector
from penchant.conversation.instructions.store import InstructionStore
from penchant.conversation.registry import make_memory
from penchant.errors import InputError
from penchant.history.dialogue import Exchange, Instruction, Turn, exchanges
from penchant.history.records import History, Segment
from penchant.marking.resources import Resources
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids
from penchant.steering.methods.attention_bias import AttentionBias, retrieval_heads
from penchant_lab.bench.dialogues import STANDING, turns_of
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes, Session
from penchant_lab.speed.measure import counting

ROUNDED = 64
"""The question's tokens are rounded up to a multiple, so that all questions see the same cut of a long past."""


@dataclass(frozen=True)
class Known:
    """The instructions that a detector found in a conversation. instructions: the standing ones. tokens_fed, seconds:
    the cost of finding them.
    """

    instructions: tuple[Instruction, ...] = ()
    tokens_fed: int = 0
    seconds: float = 0.0


@dataclass
class FoundInstructions:
    """The instructions found in the conversations of a run: each detector reads a conversation once for all methods."""

    resources: Resources
    _found: dict[tuple[str, str, int], Known] = field(default_factory=dict)

    def known(self, detector: str, history: History, seed: int) -> Known:
        key = detector, history.user, seed
        if key not in self._found:
            detect, found = make_detector(detector, self.resources), InstructionStore(history.user)
            began = time.perf_counter()
            with counting(self.resources.loaded.model) as fed:
                found.replay(turns_of(history), detect)
            self._found[key] = Known(found.in_force, fed.tokens, time.perf_counter() - began)
        return self._found[key]


@dataclass(frozen=True)
class Remembering:
    """A memory to measure. detector: finds its instructions ("": none). whole: the window instead of a budget.
    priority: instructions get more attention while the answer is generated.
    """

    make: Callable[[Resources], Memory]
    about: str
    detector: str = ""
    whole: bool = False
    priority: bool = False


def _named(name: str, about: str, detector: str = "", *, whole: bool = False, **options: object) -> Remembering:
    return Remembering(lambda resources: make_memory(name, resources, options), about, detector, whole)


REMEMBERING: dict[str, Remembering] = {
    "penchant": _named("penchant", "Penchant's memory: instructions first, exchanges by attention", "penchant"),
    "rhea": _named("rhea", "Rhea as published: thresholds on similarity (arXiv 2512.06869)", "rhea"),
    "full": _named("full", "the whole conversation, its newest exchanges where the window forces a cut", whole=True),
    "recent-5": _named("recent-5", "the last five exchanges"),
    "user-only": _named("user-only", "the user's turns, the newest where the budget forces a cut"),
    "bm25-5": _named("bm25-5", "the five exchanges that BM25 finds most like the question"),
    "summary": _named("summary", "a summary of the conversation, written by the model"),
    "penchant-no-instructions": _named(
        "penchant", "Penchant's memory without instructional memory", instructions=False
    ),
    "penchant-no-episodes": _named(
        "penchant",
        "Penchant's memory without episodic memory: instructions, the first and the last exchanges",
        "penchant",
        episodes=False,
    ),
    "penchant-compress-user": _named(
        "penchant", "Penchant's memory, the user's turns compressed instead of the answers", "penchant", compress="user"
    ),
    "penchant-filled": _named(
        "penchant",
        "Penchant's memory with all of the budget's room filled, in the order of similarity",
        "penchant",
        rule="filled",
    ),
    "penchant+priority": replace(
        _named("penchant", "Penchant's memory, more attention on the instructions", "penchant"), priority=True
    ),
}
REFERENCES = ("none", "gold")
NAMES = ("none", "full", "gold", *(name for name in REMEMBERING if name != "full"))


def check_memory_names(names: Sequence[str]) -> None:
    """Raise `InputError` for a name that isn't a memory, an ablation or a reference."""
    for name in names:
        if name not in NAMES:
            raise InputError(f"no method {name!r} of conversations: expected some of {', '.join(NAMES)}")


def remembered_method(name: str, resources: Resources, found_instructions: FoundInstructions) -> Method:
    """Make the method `name`, one of `NAMES`. Raises `InputError` for any other."""
    check_memory_names([name])
    if name in REFERENCES:
        return _reference(name, resources.loaded)
    one = REMEMBERING[name]
    memory = one.make(resources)

    @contextmanager
    def opened(history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        key = f"{seed}/{history.user}"
        known = found_instructions.known(one.detector, history, seed) if one.detector else Known()
        try:
            yield _Remembered(memory, one, resources, history, known, key)
        finally:
            memory.forget(key)

    return Method(name, opened, one.about, budgeted=not one.whole)


@dataclass
class _Remembered:
    """A memory on one conversation. fresh: no question was asked yet: the first one pays for finding instructions."""

    memory: Memory
    how: Remembering
    resources: Resources
    history: History
    known: Known
    key: str
    fresh: bool = True

    def __post_init__(self) -> None:
        self.loaded, self.turns = self.resources.loaded, turns_of(self.history)
        self.dialogue = Dialogue(exchanges(self.turns), self.known.instructions, key=self.key)

    def notes(self, item: Item, budget: int) -> Notes:
        found, began = self.known if self.fresh else Known(), time.perf_counter()
        self.fresh = False
        with counting(self.loaded.model) as fed:
            context = self.memory.context(
                self.dialogue, item.request.query, self._window(item) if self.how.whole else budget
            )
        emphasis = self._emphasis(context) if self.how.priority else None
        segments = taken(context, self.dialogue.past, self.turns, self.history)
        return Notes(
            None,
            context.tokens,
            segments,
            tokens_fed=fed.tokens + found.tokens_fed,
            seconds=time.perf_counter() - began + found.seconds,
            kept=self._share(segments) if self.how.whole else None,
            messages=context.messages,
            emphasis=emphasis,
            heads={} if emphasis is None else retrieval_heads(self.resources.calibration),
        )

    def stored_bytes(self) -> int:
        return self.resources.indexes.nbytes if "indexes" in vars(self.resources) else 0

    def _emphasis(self, context: Context) -> AttentionBias | None:
        return instruction_emphasis(self.loaded, render_chat(self.loaded, context.messages), context)

    def _window(self, item: Item) -> int:
        """What the window leaves for a prompt beside the longest answer, less what other questions may need more."""
        question = count_tokens(self.loaded.tokenizer, item.request.query)
        rounded = -(-question // ROUNDED) * ROUNDED
        answer = len(continuation_ids(self.loaded, item.given + item.answer)) if item.given + item.answer else 0
        return self.loaded.window - 2 * ROUNDED - max(ROUNDED, answer) - (rounded - question)

    def _share(self, segments: Sequence[Segment]) -> float:
        return sum(len(piece.text) for piece in segments) / max(1, sum(len(turn.text) for turn in self.turns))


def taken(context: Context, past: Sequence[Exchange], turns: Sequence[Turn], history: History) -> tuple[Segment, ...]:
    """The pieces of the turns that stand in a context: of its exchanges, and of its instructions."""
    found = []
    for kept in context.inclusions:
        exchange = past[kept.exchange]
        for turn, spans in ((exchange.user, kept.user), (exchange.assistant, kept.assistant)):
            if turn is not None:
                found += [_piece(turn, start, end, history) for start, end in spans]
    for instruction in context.instructions:
        if instruction.turn is not None and (at := turns[instruction.turn].text.find(instruction.text)) >= 0:
            found.append(_piece(turns[instruction.turn], at, at + len(instruction.text), history))
    return tuple(found)


def _piece(turn: Turn, start: int, end: int, history: History) -> Segment:
    return Segment(turn.number, history[turn.number].id, start, end, turn.text[start:end])


def _reference(name: str, loaded: LoadedModel) -> Method:
    """none: the question alone. gold: before it the exchanges with the instruction that stands and with the labelled
    evidence, whole."""

    class _Labelled:
        def __init__(self, history: History) -> None:
            self.history, self.turns = history, turns_of(history)

        def notes(self, item: Item, budget: int) -> Notes:
            wanted = set(item.evidence) | {record.id for record in self.history if record.meta.get(STANDING)}
            said: list[Turn] = []
            for exchange in exchanges(self.turns) if name == "gold" else ():
                sides = [side for side in (exchange.user, exchange.assistant) if side is not None]
                if any(self.history[side.number].id in wanted for side in sides):
                    said += sides
            question = {"role": "user", "content": item.request.query}
            messages = (*({"role": turn.role, "content": turn.text} for turn in said), question)
            tokens = count_tokens(loaded.tokenizer, render_chat(loaded, messages))
            pieces = tuple(_piece(turn, 0, len(turn.text), self.history) for turn in said)
            return Notes(None, tokens, pieces if said else None, messages=messages)

        def stored_bytes(self) -> int:
            return 0

    @contextmanager
    def opened(history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        yield _Labelled(history)

    about = {
        "none": "the question alone, without the conversation",
        "gold": "the exchanges with the instruction and the labelled evidence: what a perfect memory would give",
    }
    return Method(name, opened, about[name], budgeted=False)
