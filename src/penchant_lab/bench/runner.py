"""The bench: runs methods on a task's items, one row each. It can be resumed, and a failed item doesn't stop it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from penchant.compression.budget import count_each, count_tokens, history_counter, resolve_budget
from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.history.records import History, Record, Request, Segment
from penchant.history.segmentation import segment
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids, prompt_ids, text_ids
from penchant_lab.bench.answering import SHARED, Answerer, Prompt
from penchant_lab.bench.dialogues import whole
from penchant_lab.bench.items import Item
from penchant_lab.bench.journal import Journal
from penchant_lab.bench.plan import Plan
from penchant_lab.bench.rows import Row
from penchant_lab.measures.judging import Answered, evidence_found, judge
from penchant_lab.methods.method import Method, Notes, Reply, Session
from penchant_lab.speed.measure import forget_peak, resident

CHUNK = 32
PATIENCE = 30.0
"""Seconds after which waiting items are answered and written, even if the batch isn't full."""


@dataclass(frozen=True)
class _Pending:
    item: Item
    seed: int
    asked: str
    budget: int | None
    notes: Notes
    segments: Sequence[Segment]
    cold: bool


OnRows = Callable[[str, int], None]
"""(method, rows that were just measured)."""


class Bench:
    """Runs a plan with one model. Rows go to the journal as they are made."""

    def __init__(self, plan: Plan, loaded: LoadedModel, journal: Journal, progress: OnRows) -> None:
        self.plan, self.loaded, self.journal, self.progress = plan, loaded, journal, progress
        self.answerer = Answerer(loaded)
        self.count = history_counter(loaded.tokenizer)
        self._sizes: dict[tuple[str, str], int] = {}
        self._counted: tuple[Sequence[Segment], list[int]] | None = None
        self._written = time.perf_counter()

    def check(self) -> None:
        """Check the plan before any long work. Raises `InputError` for a budget that doesn't fit the window together
        with the longest request and its answer.
        """
        items = [item for some in self.plan.items.values() for item in some]
        sizes = {id(item.history): self.size(item) for item in items}
        largest = max((resolve_budget(b, size) for b in self.plan.budgets for size in sizes.values()), default=0)
        if not self.plan.answers:
            return
        longest = max(items, key=lambda item: len(item.request.query) + len(item.request.task or ""))
        prompt = render_chat(self.loaded, answer_messages("x", longest.request))
        beside = 0 if self.plan.task.dialogues else len(prompt_ids(self.loaded, prompt))
        answers = [len(continuation_ids(self.loaded, one)) for one in _said(longest)]
        answer = max([self.plan.task.max_new_tokens, *answers])
        if largest + beside + answer > self.loaded.window:
            raise InputError(
                f"a profile of {largest} tokens, a request of {beside} and an answer of {answer} don't fit the window "
                f"of {self.loaded.name} ({self.loaded.window}): lower --budgets, or take a model with a longer window"
            )

    def size(self, item: Item) -> int:
        """Return the tokens that a budget's share refers to: those of the history, or of the prompt with the whole
        conversation.
        """
        if not self.plan.task.dialogues:
            return self.count(item.history)
        key = item.history.user, item.request.query
        if key not in self._sizes:
            rendered = render_chat(self.loaded, whole(item))
            self._sizes[key] = count_tokens(self.loaded.tokenizer, rendered)
        return self._sizes[key]

    def run(self) -> None:
        """Measure everything that isn't in the journal yet."""
        for method in self.plan.methods:
            if all(self.journal.done(key) for key in self.plan.keys(method)):
                continue
            with suppress(OSError):  # there is no /proc
                forget_peak()
            before = _resident()
            stored: list[int] = []
            for seed in self.plan.seeds(method):
                self._run(method, seed, stored)
            self.answerer.forget()
            now = _resident()
            info: dict[str, object] = {"about": method.about}
            if stored:
                info["stored_bytes"] = sum(stored) / len(stored)
            if before and now:
                info["peak_bytes"] = max(0, now[1] - before[0])  # below: memory of an earlier method was freed
            self.journal.describe(method.name, info)

    def _run(self, method: Method, seed: int, stored: list[int]) -> None:
        waiting: list[_Pending] = []
        self._warm(method, seed)
        grouped = itertools.groupby(self.plan.items_of(method, seed), key=lambda item: id(item.history))
        for _, group in grouped:
            items = [item for item in group if self._open_budgets(method, item, seed)]
            if not items:
                continue
            history = items[0].history
            segments = segment(history, self.plan.task.unit)
            try:
                with method.open(history, segments, seed) as session:
                    for number, item in enumerate(items):
                        waiting += self._notes(method, session, item, seed, segments, cold=number == 0)
                        if len(waiting) >= CHUNK or time.perf_counter() - self._written > PATIENCE:
                            self._finish(method, waiting)
                    stored.append(session.stored_bytes())
                    if len(items) > 1 and any(one.notes.tokens >= SHARED for one in waiting):
                        self._finish(method, waiting)  # prompts of one history may share their beginning
            except Exception as error:  # noqa: BLE001 - a method that can't be opened is recorded for each item
                self._fail(
                    method, [(item, a) for item in items for a in self._open_budgets(method, item, seed)], seed, error
                )
        self._finish(method, waiting)

    def _open_budgets(self, method: Method, item: Item, seed: int) -> list[str]:
        return [a for a in self.plan.asked(method) if not self.journal.done((method.name, item.id, a, seed))]

    def _warm(self, method: Method, seed: int) -> None:
        """Make one call on an unrelated history, so that reading weights isn't counted for the first history."""
        said = Record("The kettle is new.", "a", kind="user"), Record("The bus was late.", "b", kind="assistant")
        history = History(said, "warm-up")
        item = Item("warm-up", history, Request("What is new?"), "The kettle.", evidence=("a",))
        segments = segment(history, "record")
        with suppress(Exception), method.open(history, segments, seed) as session:  # a real item will report the reason
            session.notes(item, 200 if self.plan.task.dialogues else 20)

    def _notes(
        self, method: Method, session: Session, item: Item, seed: int, segments: Sequence[Segment], *, cold: bool
    ) -> list[_Pending]:
        made = []
        for asked in self._open_budgets(method, item, seed):
            try:
                budget = resolve_budget(asked, self.size(item)) if asked else None
                notes = session.notes(item, budget or 0)
                made.append(_Pending(item, seed, asked, budget, notes, segments, cold))
            except Exception as error:  # noqa: BLE001 - recorded; the run goes on and ends with exit code 1
                self._fail(method, [(item, asked)], seed, error)
        return made

    def _finish(self, method: Method, waiting: list[_Pending]) -> None:
        """Answer the waiting items, write their rows, and empty the list."""
        if not waiting:
            return
        self._written = time.perf_counter()
        some, waiting[:] = list(waiting), []
        began = time.perf_counter()
        read = self._replies(some) if self.plan.answers else [(None, 0)] * len(some)
        seconds = (time.perf_counter() - began) / len(some)
        rows = []
        for one, (reply, size) in zip(some, read, strict=True):
            if isinstance(reply, Exception):
                self._fail(method, [(one.item, one.asked)], one.seed, reply)
            else:
                rows.append(self._row(method, one, reply, size, seconds))
        self.journal.add(rows)
        self.progress(method.name, len(rows))

    def _replies(self, some: Sequence[_Pending]) -> list[tuple[Reply | Exception | None, int]]:
        """Return a reply or an error, and the prompt's tokens, for each item."""
        found: list[tuple[Reply | Exception | None, int]] = [(one.notes.reply, one.notes.tokens) for one in some]
        prompts: dict[int, Prompt] = {}
        for position, one in enumerate(some):
            try:
                if one.notes.reply is None:
                    prompts[position] = self._prompt(one.item, one.notes)
            except Exception as error:  # noqa: BLE001 - of this item alone
                found[position] = error, 0
        try:
            replies: list[Reply | Exception] = list(self.answerer.read(list(prompts.values())))
        except Exception:  # noqa: BLE001 - one of them; read each alone to see which
            replies = [self._alone(prompt) for prompt in prompts.values()]
        for (position, prompt), reply in zip(prompts.items(), replies, strict=True):
            found[position] = reply, len(prompt.ids)
        return found

    def _alone(self, prompt: Prompt) -> Reply | Exception:
        try:
            return self.answerer.read([prompt])[0]
        except Exception as error:  # noqa: BLE001 - becomes the item's row
            return error

    def _prompt(self, item: Item, notes: Notes) -> Prompt:
        messages = answer_messages(notes.text, item.request) if notes.messages is None else notes.messages
        ids = prompt_ids(self.loaded, render_chat(self.loaded, messages))
        given, answers = continuations(self.loaded, item)
        unchecked = self.plan.task.dialogues and item.check is None
        generated = 0 if item.choices or unchecked else self.plan.task.max_new_tokens
        prompt = Prompt(tuple(ids), answers, generated, notes.intervention, given, notes.emphasis, notes.heads)
        if len(ids) + prompt.longest > self.loaded.window:
            raise InputError(
                f"a prompt of {len(ids)} tokens and an answer of up to {prompt.longest} don't fit the window of "
                f"{self.loaded.name} ({self.loaded.window})"
            )
        return prompt

    def _row(self, method: Method, one: _Pending, reply: Reply | None, size: int, seconds: float) -> Row:
        item, notes = one.item, one.notes
        answered = judge(item, reply, self.plan.task) if reply else Answered()
        found = evidence_found(item, notes, one.segments, self._costs(one) if reply is None else None)
        return Row(
            method.name,
            item.id,
            item.user,
            one.seed,
            one.asked,
            item.category,
            one.budget,
            notes.tokens,
            self.size(item),
            notes.kept,
            size,
            notes.tokens_fed,
            notes.seconds,
            one.cold,
            seconds if reply else 0.0,
            answered.loss,
            answered.metrics,
            answered.predicted,
            answered.true,
            fallback=notes.fallback,
            recall=found.recall,
            precision=found.precision,
            auc=found.auc,
            recall_at_10=found.recall_at_10,
        )

    def _costs(self, one: _Pending) -> tuple[list[int], int] | None:
        if one.budget is None:
            return None
        if self._counted is None or self._counted[0] is not one.segments:  # all items of a history ask the same
            costs = count_each(self.loaded.tokenizer, [piece.text for piece in one.segments]).tolist()
            self._counted = one.segments, costs
        return self._counted[1], one.budget

    def _fail(self, method: Method, failed: Sequence[tuple[Item, str]], seed: int, error: Exception) -> None:
        text = " ".join(str(error).split()) or type(error).__name__
        text = text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
        self.journal.add(
            Row(method.name, item.id, item.user, seed, asked, item.category, error=text[:300]) for item, asked in failed
        )
        self.progress(method.name, len(failed))


def continuations(loaded: LoadedModel, item: Item) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """Return the tokens of every answer to be scored, and how many at the beginning are given. The given part and the
    rest are tokenised separately, so that the same tokens are scored in every case.
    """
    if not item.given:
        return 0, tuple(continuation_ids(loaded, text) for text in _said(item))
    given = continuation_ids(loaded, item.given)
    rest = (tuple(text_ids(loaded, text)) for text in _said(item))
    return len(given), tuple(given + ids for ids in rest)


def _said(item: Item) -> tuple[str, ...]:
    return item.choices or ((item.answer,) if item.answer else ())


def _resident() -> tuple[int, int] | None:
    try:
        memory = resident()
    except OSError:
        return None
    return memory.now, memory.peak
