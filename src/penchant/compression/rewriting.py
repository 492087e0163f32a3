"""Rewriting of the marked history by a local language model (Attn-GS, arXiv 2602.07778), checked, with a fallback."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import SkipValidation

from penchant.compression.budget import Tokenizer, count_tokens
from penchant.compression.check import MIN_COVERAGE, RewritingCheck, check_rewriting
from penchant.compression.extractive import extractive
from penchant.compression.factory import CompressorFactory
from penchant.compression.marked import END, START, MarkedHistory, marked_history, rewrite_messages
from penchant.compression.profile import Compressor, Profile
from penchant.errors import InputError
from penchant.history.records import History, Request
from penchant.marking.marks import Marks
from penchant.options import Options
from penchant.text.unicode import sanitize

if TYPE_CHECKING:  # importing a compressor must not import torch
    from penchant.marking.resources import Resources
    from penchant.models.loading import LoadedModel

OVERHANG = 16  # tokens beyond the budget, which show whether the last sentence is complete
BASED_ON = 0.5  # a rewriting is based on a segment if it has this share of its content words
ENDS = ".!?…。！？"

_LIST_MARK = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+")

Messages = list[dict[str, str]]


class RewriteError(Exception):
    """The rewriter gave no text; the message says why. Compressors never raise it."""


def rewriting(
    loaded: LoadedModel,
    *,
    tokenizer: Tokenizer | None = None,
    alpha: float = 0.3,
    min_coverage: float = MIN_COVERAGE,
    dates: bool = True,
    context_tokens: int | None = None,
) -> Compressor:
    """Make a compressor that lets `loaded` rewrite the marked history, with greedy decoding, and checks the result.

    tokenizer: of the model that will read the profile (default: the rewriter's own); the budget counts in it. alpha: a
    segment is important above alpha x the highest mark. min_coverage: least share of the marked content to keep. dates:
    as in `extractive`, for the fallback. context_tokens: most tokens of history in the prompt (default: as many as fit
    the window; fewer are faster).

    A rewriting that fails the check (`check_rewriting`), has no complete sentence within the budget, or can't be made
    is replaced by the extractive profile, with `fallback=True` and the reason.
    """
    from penchant.inference.generation import generate_stream
    from penchant.models.chat import render_chat

    own = loaded.tokenizer

    def measure(messages: Messages) -> int:
        return count_tokens(own, render_chat(loaded, messages)) + 1  # a begin-of-text token may be added

    def ask(messages: Messages, max_tokens: int) -> str:
        return "".join(generate_stream(loaded, render_chat(loaded, messages), max_new_tokens=max_tokens))

    return rewrite_with(
        ask,
        name="rewriting",
        tokenizer=tokenizer or own,
        reader=own,
        window=loaded.window,
        measure=measure,
        alpha=alpha,
        min_coverage=min_coverage,
        dates=dates,
        context_tokens=context_tokens,
    )


def rewrite_with(
    ask: Callable[[Messages, int], str],
    *,
    name: str,
    tokenizer: Tokenizer,
    reader: Tokenizer,
    window: int,
    measure: Callable[[Messages], int],
    alpha: float,
    min_coverage: float,
    dates: bool,
    context_tokens: int | None,
) -> Compressor:
    """Make a checked rewriting compressor from any function that asks a model: `ask(messages, max_tokens)` returns text
    or raises `RewriteError`. tokenizer counts the budget, reader the prompt; measure: size of the prompt with its
    template; window: most tokens of prompt and answer.
    """
    extract = extractive(tokenizer, dates=dates)

    def compress(history: History, request: Request, marks: Marks, budget: int) -> Profile:
        started = time.perf_counter()
        plain = extract(history, request, marks, budget)

        def fall_back(reason: str) -> Profile:
            seconds = {**plain.seconds, "compress": time.perf_counter() - started}
            return replace(plain, compressor=name, fallback=True, reason=reason, seconds=seconds)

        if not plain.segments:
            return fall_back("there is nothing to rewrite")
        empty = MarkedHistory("", (), (), False)
        room = window - measure(rewrite_messages(empty, request, budget)) - budget - OVERHANG
        try:
            marked = marked_history(
                history,
                marks,
                alpha=alpha,
                room=min(room, context_tokens or room),
                count=lambda text: count_tokens(reader, text),
                tokenizer=reader,
            )
            messages = rewrite_messages(marked, request, budget)
            answer = ask(messages, budget + OVERHANG)
        except (InputError, RewriteError) as error:
            return fall_back(str(error))
        text = shorten(tidy(answer), budget, tokenizer)
        if not text:
            return fall_back(
                f"the rewriting has no sentence within {budget} tokens" if answer.strip() else "the rewriting is empty"
            )
        check = _check(text, marked, marks, plain, min_coverage)
        if check.failed:
            return fall_back(check.failed)
        based_on = [i for i, share in zip(marked.shown, check.covered, strict=True) if share >= BASED_ON]
        return Profile(
            text=text,
            tokens=count_tokens(tokenizer, text),
            budget=budget,
            history_tokens=plain.history_tokens,
            segments=tuple(marks.segments[i] for i in based_on),
            scores=tuple(float(marks.scores[i]) for i in based_on),
            marker=marks.marker,
            compressor=name,
            mass_kept=_mass(marks, marked, check),
            seconds={**marks.seconds, "compress": time.perf_counter() - started},
        )

    return compress


def tidy(answer: str) -> str:
    """Remove echoed tags, list markers at the beginning of lines, and blank lines from a rewriter's answer."""
    lines = (
        _LIST_MARK.sub("", line).strip() for line in sanitize(answer).replace(START, "").replace(END, "").split("\n")
    )
    return "\n".join(line for line in lines if line)


def shorten(text: str, budget: int, tokenizer: Tokenizer) -> str:
    """Return the text, or its longest beginning of whole sentences with at most `budget` tokens; "" if there is
    none.
    """
    if count_tokens(tokenizer, text) <= budget:
        return text
    ends = [i + 1 for i, c in enumerate(text) if c in ENDS and (i + 1 == len(text) or not text[i + 1].isalnum())]
    ends += [i for i, c in enumerate(text) if c == "\n"]
    for end in sorted(ends, reverse=True):
        shorter = text[:end].strip()
        if shorter and count_tokens(tokenizer, shorter) <= budget:
            return shorter
    return ""


def _check(text: str, marked: MarkedHistory, marks: Marks, plain: Profile, min_coverage: float) -> RewritingCheck:
    """Check a rewriting: it should cover the segments of the extractive profile, weighted by their marks."""
    floor = float(marks.scores.min())
    taken = {(s.record, s.start) for s in plain.segments}
    weights = np.array(
        [
            float(marks.scores[i]) - floor + 1e-6
            if (marks.segments[i].record, marks.segments[i].start) in taken
            else 0.0
            for i in marked.shown
        ],
        dtype=np.float64,
    )
    source = marked.text.replace(START, "").replace(END, "")
    texts = [marks.segments[i].text for i in marked.shown]
    return check_rewriting(text, source, texts, weights, min_coverage=min_coverage)


def _mass(marks: Marks, marked: MarkedHistory, check: RewritingCheck) -> float:
    """Return the share of the positive marking mass kept; each segment counts by the share of its content words
    kept.
    """
    mass = np.maximum(marks.scores.astype(np.float64), 0.0)
    total = float(mass.sum())
    return min(1.0, float((mass[list(marked.shown)] * check.covered).sum()) / total) if total > 0 else 0.0


class RewritingOptions(Options):
    """Options of `rewriting`."""

    tokenizer: SkipValidation[Tokenizer | None] = None
    alpha: float = 0.3
    min_coverage: float = MIN_COVERAGE
    dates: bool = True
    context_tokens: int | None = None


def _make(resources: Resources, options: RewritingOptions) -> Compressor:
    return rewriting(resources.loaded, **dict(options))


COMPRESSOR = CompressorFactory("The model rewrites the marked history; the result is checked", _make, RewritingOptions)
