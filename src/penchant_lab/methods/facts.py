"""mem0 (Chhikara et al. 2025, arXiv 2504.19413) with a local model: it writes down facts, which are retrieved by
embeddings.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penchant.compression.budget import Tokenizer, count_each
from penchant.compression.extractive import extractive
from penchant.compression.layout import format_day, format_label
from penchant.compression.profile import Compressor
from penchant.compression.rewriting import ENDS, tidy
from penchant.history.records import History, Record, Segment
from penchant.history.segmentation import segment
from penchant.inference.sentence_encoder import embedder
from penchant.marking.marks import FloatArray, Marks
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant_lab.bench.answering import Answerer, Prompt
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes, Session

CHUNK = 160
"""Tokens of history that the model sees at a time: a few turns of a chat."""
NEW = 96
"""Most tokens of facts that it writes about them."""
SAME = 0.95
"""Cosine above which two facts count as the same."""

# Compared by how many words of the answers stand in what SmolLM2-135M wrote (17 questions on the first 40 records of
# LoCoMo's conversation 1). Sizes: 60 tokens 0.45, 100 tokens 0.48, 160 tokens 0.59, 256 tokens 0.25. Wordings, at 100
# tokens: this one 0.48, without the example 0.41, with two 0.36, with the instruction behind the text 0.33 to 0.47.
SYSTEM = (
    "Write down the facts about the people in the text: who they are, what they did, like, own or plan. One short "
    "sentence on each line, with the person's name. Write only what the text says."
)
EXAMPLE = (
    "3 March 2021\n"
    "Tom: Guess what, I finally bought a boat last week! It's blue.\n"
    "Eva: Wow! I can't swim, but my brother Max would love that. He works at the harbour."
)
EXAMPLE_FACTS = "Tom bought a blue boat in February 2021.\nEva can't swim.\nEva's brother Max works at the harbour."
EXAMPLE_NAMES = ("Tom", "Eva", "Max")

Embed = Callable[[Sequence[str]], tuple[FloatArray, int]]


def mem0(
    loaded: LoadedModel,
    *,
    tokenizer: Tokenizer | None = None,
    encoder: str | Path | None = None,
    chunk_tokens: int = CHUNK,
    max_new_tokens: int = NEW,
    same: float = SAME,
) -> Method:
    """The method mem0: `loaded` writes down the facts in each chunk of a history, greedily, before the first request;
    a request is given those whose MiniLM embeddings are nearest to it, in time order under their days.

    tokenizer: of the model that reads the notes (default: of `loaded`); the budget counts in it. encoder: as `dense`
    takes it. same: of facts whose cosine is above this, the newest is kept. The original has the model decide about
    ADD, UPDATE and DELETE for each fact, which a small model can't.

    Facts are filled into the budget as the extractive compressor fills in segments. The time and the tokens of writing
    the facts down are those of the session's first item. Raises `ModelError` without the encoder.
    """
    embed = embedder(encoder)
    compress = extractive(tokenizer or loaded.tokenizer, updated=False)  # of the peer's own making

    @contextmanager
    def opened(history: History, segments: Sequence[Segment], seed: int) -> Iterator[Session]:
        def remember() -> _Memory:
            return remembered(loaded, history, embed, chunk_tokens, max_new_tokens, same=same)

        yield _Session(remember, embed, compress)

    return Method(
        "mem0",
        opened,
        "facts written down by the same model, found by MiniLM (mem0, arXiv 2504.19413; updates by similarity)",
    )


@dataclass(frozen=True)
class _Memory:
    """facts: one record each, with the time of its source records. vectors: float32 [facts, width]."""

    facts: History
    vectors: FloatArray
    tokens_fed: int

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(Segment(i, fact.id, 0, len(fact.text), fact.text) for i, fact in enumerate(self.facts))


@dataclass
class _Session:
    remember: Callable[[], _Memory]
    embed: Embed
    compress: Compressor
    _memory: _Memory | None = None

    def notes(self, item: Item, budget: int) -> Notes:
        began = time.perf_counter()
        fed = 0
        if self._memory is None:
            self._memory = self.remember()
            fed = self._memory.tokens_fed
        memory = self._memory
        if not len(memory.facts):
            return Notes(None, tokens_fed=fed, seconds=time.perf_counter() - began)
        query, query_fed = self.embed([item.request.query])
        marks = Marks(memory.segments, memory.vectors @ query[0], "mem0")
        profile = self.compress(memory.facts, item.request, marks, budget)
        return Notes(
            profile.text or None,
            profile.tokens,
            tokens_fed=fed + query_fed,
            seconds=time.perf_counter() - began,
        )

    def stored_bytes(self) -> int:
        """Size of the facts' texts, times and embeddings; 0 before the first request."""
        if self._memory is None:
            return 0
        texts = sum(len(fact.text.encode("utf-8", "surrogatepass")) + 8 for fact in self._memory.facts)
        return texts + self._memory.vectors.nbytes


def remembered(
    loaded: LoadedModel,
    history: History,
    embed: Embed,
    chunk_tokens: int = CHUNK,
    max_new_tokens: int = NEW,
    *,
    same: float = SAME,
) -> _Memory:
    """Return the facts of a history. tokens_fed: for prompts, facts and their embeddings."""
    chunks = list(chunked(loaded.tokenizer, history, chunk_tokens))
    prompts = [extraction_prompt(loaded, chunk) for chunk in chunks]
    answers = generate_batch(loaded, prompts, max_new_tokens)
    written = count_each(loaded.tokenizer, answers)
    facts = [
        (line, chunk.when)
        for chunk, answer, tokens in zip(chunks, answers, written, strict=True)
        for line in facts_of(answer, chunk.text, cut=tokens >= max_new_tokens - 1)
    ]
    vectors, fed = embed([line for line, _ in facts])
    kept = np.flatnonzero(newest(vectors, same))
    fed += sum(len(prompt_ids(loaded, prompt)) for prompt in prompts) + int(written.sum())
    # Facts are in time order already, as their chunks are; a history keeps that order.
    records = [Record(facts[i][0], id=f"fact-{n}", when=facts[i][1]) for n, i in enumerate(kept)]
    return _Memory(History(records, history.user), vectors[kept], fed)


def generate_batch(loaded: LoadedModel, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
    """Return the greedy answers to prompts of `render_chat`, in batches, with the same result as one by one."""
    asked = [Prompt(tuple(prompt_ids(loaded, prompt)), max_new_tokens=max_new_tokens) for prompt in prompts]
    return [reply.text for reply in Answerer(loaded).read(asked)]


@dataclass(frozen=True)
class Chunk:
    """A few neighbouring records (or parts of one) of one day, as text; when: the time of the first."""

    text: str
    when: datetime | None


def chunked(tokenizer: Tokenizer, history: History, tokens: int) -> Iterator[Chunk]:
    """A history in chunks of at most so many tokens and of one day each; a longer sentence is a chunk by itself."""
    pieces = segment(history)
    lines = [(format_label(history[p.record]) if p.start == 0 else "") + p.text for p in pieces]
    costs = count_each(tokenizer, [line.encode("utf-8", "replace").decode() for line in lines])
    held: list[str] = []
    first: Segment | None = None
    used = 0
    for piece, line, cost in zip(pieces, lines, costs, strict=True):
        if first and (used + cost > tokens or _day(history, piece) != _day(history, first)):
            yield Chunk("\n".join(held), history[first.record].when)
            held, first, used = [], None, 0
        first = first or piece
        held.append(line)
        used += int(cost)
    if first:
        yield Chunk("\n".join(held), history[first.record].when)


def extraction_prompt(loaded: LoadedModel, chunk: Chunk) -> str:
    day = f"{format_day(chunk.when.date())}\n" if chunk.when else ""
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": EXAMPLE},
        {"role": "assistant", "content": EXAMPLE_FACTS},
        {"role": "user", "content": day + chunk.text},
    ]
    return render_chat(loaded, messages)


def facts_of(answer: str, source: str, *, cut: bool) -> list[str]:
    """Return the facts in an answer: its lines without list markers and repetitions.

    cut: the answer used all its tokens; a last line without an end is then left out, unless it is all there is. So is
    a line about the example's people, where these aren't in the source.
    """
    lines = [line for line in tidy(answer).split("\n") if sum(map(str.isalnum, line)) > 2 and not line.endswith(":")]
    if cut and len(lines) > 1 and lines[-1][-1] not in ENDS:
        lines.pop()
    strangers = [name for name in EXAMPLE_NAMES if not _named(name, source)]
    return list(dict.fromkeys(line for line in lines if not any(_named(name, line) for name in strangers)))


def newest(vectors: FloatArray, same: float) -> npt.NDArray[np.bool_]:
    """[facts], in time order: False for one that a later one repeats (cosine above `same`)."""
    kept = np.ones(len(vectors), dtype=bool)
    for start in range(0, len(vectors), 1024):  # limits the memory of the comparison
        alike = vectors[start : start + 1024] @ vectors[start:].T > same
        kept[start : start + 1024] = ~np.triu(alike, 1).any(1)
    return kept


def _day(history: History, piece: Segment) -> date | None:
    when = history[piece.record].when
    return when.date() if when else None


def _named(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None
