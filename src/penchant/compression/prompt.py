"""The prompt for an answer, with or without a profile."""

from __future__ import annotations

from penchant.compression.budget import count_tokens
from penchant.compression.layout import lay_out
from penchant.compression.profile import Profile
from penchant.compression.updates import updates
from penchant.history.records import History, Request
from penchant.history.segmentation import segment
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.text.dates import asks_for_time

# Prompts were compared by the NLL of the gold answer under SmolLM2-135M with the gold evidence as notes (48 questions
# of LoCoMo, conversations 0 to 2): no notes 4.86; bare notes 3.79; "Notes about me:" 3.77; this one 3.49. Most of the
# gain comes from the system message, some from "Question:"; repeating the question before the notes adds nothing.
WITH_NOTES = (
    "Answer the user's question with the help of the user's notes. "
    "Be brief and specific; use the names, dates and facts in the notes."
)
WITHOUT_NOTES = "Answer the user's question. Be brief and specific."
TASK_WITH_NOTES = (
    "Do what the user asks with the help of the user's notes: "
    "they show what the user knows, likes and how the user writes."
)
TASK_WITHOUT_NOTES = "Do what the user asks."


def answer_messages(profile_text: str | None, request: Request) -> list[dict[str, str]]:
    """Return chat messages (system and user) that ask for the answer to `request`.

    profile_text: a profile's text (or a whole history in the same layout); None or blank: no notes. If the request has
    a task, it precedes the query.
    """
    notes = (profile_text or "").strip()
    if request.task:
        system = TASK_WITH_NOTES if notes else TASK_WITHOUT_NOTES
        asked = f"{request.task.strip()}\n\n{request.query}"
    else:
        system = WITH_NOTES if notes else WITHOUT_NOTES
        asked = f"Question: {request.query}"
    user = f"Notes about me:\n{notes}\n\n{asked}" if notes else asked
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def answer_notes(history: History, profile: Profile, request: Request) -> str:
    """Return a profile's text as notes for an answer: without days, unless they matter (`needs_days`). A profile that
    isn't verbatim text of the history is returned as it is.
    """
    if needs_days(profile, request) or profile.text != lay_out(history, profile.segments):
        return profile.text
    return lay_out(history, profile.segments, dates=False)


def needs_days(profile: Profile, request: Request) -> bool:
    """Whether an answer needs the days of a profile's records: the request is about a time, or there are two records on
    one subject. Otherwise a small model repeats them in its answer (benchmarks/results/headings.md).
    """
    if request.task or asks_for_time(request.query):
        return True
    best_first = sorted(zip(profile.scores, profile.segments, strict=True), key=lambda pair: -pair[0])
    return bool((updates([segment for _, segment in best_first]) >= 0).any())


def newest_records(loaded: LoadedModel, history: History, request: Request, answer_tokens: int) -> tuple[str, int]:
    """Return the newest records whose prompt leaves room for an answer in the model's window, as notes, and how many of
    the oldest are left out.
    """
    segments = segment(history, "record")
    low, high = 0, len(history)
    while low < high:  # bisection on how many to leave out
        middle = (low + high) // 2
        text = lay_out(history, [one for one in segments if one.record >= middle])
        prompt = render_chat(loaded, answer_messages(text, request))
        size = 1 + count_tokens(loaded.tokenizer, prompt)  # 1: a begin-of-text token may be added
        low, high = (low, middle) if size + answer_tokens <= loaded.window else (middle + 1, high)
    return lay_out(history, [one for one in segments if one.record >= low]), low
