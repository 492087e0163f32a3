"""Do the labels "(until ...)" and "(current)" help the model that reads them? Part of `python -m penchant_lab.facts`.

Made-up users each say a thing, something else, and later that it has changed. The profile holds everything; the NLL of
the value that holds and of the one that doesn't are compared with the labels, without them, and with the newest alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from penchant.compression.layout import lay_out
from penchant.compression.prompt import answer_messages
from penchant.conversation.facts import records_of
from penchant.history.dialogue import Turn
from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant.models.chat import render_chat
from penchant.models.loading import load_model
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant_lab.bench.answering import Answerer, Prompt

#: before, after, question, beginning of the answer, values
CASES = (
    ("My dentist is Dr. {}.", "I've changed to Dr. {} as my dentist.", "Who is my dentist?", "Your dentist is Dr.",
     ("Lee", "Voss", "Hart", "Quill")),
    ("I live in {}.", "I moved to {} last week.", "Where do I live?", "You live in",
     ("Bristol", "Leipzig", "Cork", "Lyon")),
    ("I work at {}.", "I started a new job at {} on Monday.", "Where do I work?", "You work at",
     ("Siemens", "Ericsson", "Philips", "Renault")),
    ("I drive a {}.", "My new car is a {}.", "What car do I drive?", "You drive a",
     ("Volvo", "Skoda", "Fiat", "Honda")),
    ("My boss is Mrs {}.", "My new boss is Mrs {}.", "Who is my boss?", "Your boss is Mrs",
     ("Kim", "Brandt", "Patel", "Rossi")),
    ("My favourite film is {}.", "My favourite film is now {}.", "What is my favourite film?", "Your favourite film is",
     ("Playtime", "Vertigo", "Alien", "Amelie")),
)  # fmt: skip
BETWEEN = ("I like long walks by the river.", "My sister plays the oboe.", "I never drink coffee after noon.")
START = datetime(2026, 1, 12, 9, tzinfo=UTC)


def measure(model: str) -> dict[str, Any]:
    """Means and standard errors over cases; nats of the whole answer."""
    loaded = load_model(model)
    prompts, ways = [], ("labelled", "unlabelled", "newest alone")
    for before, after, question, begun, values in CASES:
        for at, old in enumerate(values):
            new = values[(at + 1) % len(values)]
            texts = (before.format(old), *BETWEEN, after.format(new))
            said = [r for n, text in enumerate(texts) for r in _said(n, text)]
            bare = [Record(r.text, id=r.id, when=r.when) for r in said]
            for records in (said, bare, bare[1:]):
                history = History(records)
                notes = lay_out(history, segment(history))
                messages = answer_messages(notes, Request(question))
                ids = prompt_ids(loaded, render_chat(loaded, messages) + begun)
                answers = tuple(continuation_ids(loaded, f" {value}") for value in (new, old))
                prompts.append(Prompt(tuple(ids), answers))
    nll = np.array([reply.nlls for reply in Answerer(loaded).read(prompts)]).reshape(-1, len(ways), 2)
    found: dict[str, Any] = {"model": model, "cases": len(nll)}
    for way, (current, former) in zip(ways, nll.transpose(1, 2, 0), strict=True):
        margin = former - current
        found[way] = {
            "nll_current": round(float(current.mean()), 3),
            "margin": round(float(margin.mean()), 3),
            "margin_se": round(float(margin.std(ddof=1) / len(margin) ** 0.5), 3),
            "prefers_current": round(float((margin > 0).mean()), 3),
        }
    return found


def _said(number: int, text: str) -> list[Record]:
    return records_of(Turn(2 * number, "user", text, START + timedelta(weeks=3 * number)), "made-up")
