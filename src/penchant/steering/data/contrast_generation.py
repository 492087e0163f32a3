"""Generates contrasts from a user's own pairs: the model itself writes the rejected answer.

Fints (arXiv 2510.27206): the rejected answer is the same model's to the same input, with random items of other users in
its prompt ("others") or nothing ("none"). It is kept if it differs enough from the real answer by ROUGE-L.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.inference.answer_row import PromptTokens
from penchant.inference.generation import ROWS, batches, generate
from penchant.inference.sampling import Sampling
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids, text_ids
from penchant.progress import Progress, no_progress
from penchant.steering.data.contrast import Contrast, PromptTemplate
from penchant.steering.data.contrast_file import ContrastFile, Dropped, Entry
from penchant.steering.data.pairs import ITEM_WORDS, Donors, Item, Pair, notes_of
from penchant.store.erasure.lineage import source_of
from penchant.text.rouge import rouge_l

SHORT, LONG = 0.15, 0.20
"""Thresholds of the paper for short answers (titles) and long ones (abstracts)."""
LONG_WORDS = 50

TOO_CLOSE, EMPTY, EQUAL = "too close to the real answer", "the model wrote nothing", "the real answer itself"
NO_ROOM, NO_DONORS = "its prompt doesn't fit the model's window", "no other user's item differs from it"

Holds = Callable[[str, str], bool]
"""(user, record id) -> whether the record still exists: `Store.holds`."""


@dataclass(frozen=True)
class Recipe:
    """How contrasts are made. A different recipe adds further contrasts.

    source: "others" or "none". k: items of other users in a prompt, `item_words` words each. tries: the first is
    greedy, the others are sampled at `temperature`. threshold: a rejected answer must have a lower ROUGE-L F to the
    real one; None: 0.15, or 0.20 for a real answer of over 50 words. max_new_tokens: None: twice the real answer's plus
    8, at least 16, at most 256. Raises `InputError` for a value out of range.
    """

    source: Literal["others", "none"] = "others"
    k: int = 5
    item_words: int = ITEM_WORDS
    tries: int = 2
    temperature: float = 0.8
    threshold: float | None = None
    max_new_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.source not in ("others", "none"):
            raise InputError(f"contrasts from {self.source!r}: expected 'others' or 'none'")
        lowest = {"k": 1, "item_words": 1, "tries": 1, "max_new_tokens": 1}
        for name, least in lowest.items():
            if (value := getattr(self, name)) is not None and value < least:
                raise InputError(f"{name} is {value}: expected at least {least}")
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"temperature is {self.temperature}: expected more than 0")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise InputError(f"threshold is {self.threshold}: expected more than 0, at most 1")

    def limit(self, answer: str) -> float:
        if self.threshold is not None:
            return self.threshold
        return LONG if len(answer.split()) > LONG_WORDS else SHORT


@dataclass(frozen=True)
class GeneratedContrasts:
    """What `generate_contrasts` returns. contrasts: of all pairs, in their order. new: how many were made now; dropped:
    how many pairs gave none, by reason; withdrawn: how many records were erased meanwhile.
    """

    contrasts: list[Contrast]
    new: int
    dropped: Counter[str]
    withdrawn: int = 0


@dataclass(frozen=True)
class _Job:
    pair: Pair
    items: tuple[Item, ...]
    start: PromptTokens
    number: int = 1
    best: tuple[float, str] | None = None
    reason: str = EMPTY


def generate_contrasts(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    file: ContrastFile,
    prompt: PromptTemplate,
    *,
    donors: Donors | None = None,
    recipe: Recipe | None = None,
    holds: Holds = lambda user, record: True,
    progress: Progress = no_progress,
    rows: int = ROWS,
) -> GeneratedContrasts:
    """Generate a contrast for each pair, if the model writes an answer that differs enough from the user's.

    Each is written to `file` as soon as it is made, and each dropped pair with its reason; pairs already in the file
    under the same recipe, model and prompt are skipped, so an interrupted run continues where it was. Contrasts of a
    record whose text was replaced are removed. The same seed gives the same contrasts in any batch. holds: pass
    `store.holds`; data erased while this runs is not written. progress: called after each batch.

    Raises `InputError` without pairs, or without donors for "others".
    """
    recipe = recipe or Recipe()
    if not pairs:
        raise InputError("no pairs to make contrasts from: expected some; see own_pairs")
    if recipe.source == "others" and donors is None:
        raise InputError("contrasts from 'others' without other users' items: pass donors, or choose source 'none'")
    maker = _Generator(loaded, file, prompt, donors if recipe.source == "others" else None, recipe, holds)
    return maker.run(pairs, progress, rows)


@dataclass
class _Generator:
    loaded: LoadedModel
    file: ContrastFile
    prompt: PromptTemplate
    donors: Donors | None
    recipe: Recipe
    holds: Holds
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        template = [self.prompt(notes, Request("?", task)) for notes in (None, "!") for task in (None, "#")]
        parts = [self.loaded.fingerprint, asdict(self.recipe), template]
        self.fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "replace")).hexdigest()[:16]

    def run(self, pairs: Sequence[Pair], progress: Progress, rows: int) -> GeneratedContrasts:
        known = self._known(pairs)
        todo = [pair for pair in pairs if _key(pair) not in known]
        done = len(pairs) - len(todo)
        progress("writing other answers", done, len(pairs))
        for finished in self._finish(todo, rows):
            self._write(finished)
            done += len(finished)
            progress("writing other answers", done, len(pairs))
        entries = self._known(pairs)  # read again: an erasure may have removed old or new entries
        found = [entries[_key(pair)] for pair in pairs if _key(pair) in entries]
        contrasts = [entry for entry in found if isinstance(entry, Contrast)]
        dropped = Counter(entry.reason for entry in found if isinstance(entry, Dropped))
        new = sum(_key(pair) not in known for pair in pairs if isinstance(entries.get(_key(pair)), Contrast))
        return GeneratedContrasts(contrasts, new, dropped, len(pairs) - len(found))

    def _known(self, pairs: Sequence[Pair]) -> dict[tuple[str, str], Entry]:
        """Return the file's entries for these pairs; those for former texts of their records are removed."""
        digests = {pair.record: pair.digest for pair in pairs}

        def stale(entry: Entry) -> bool:
            digest = digests.get(entry.record, "") if entry.record else ""
            return bool(digest) and entry.meta.get("pair", digest) != digest

        entries = self.file.entries()
        if any(map(stale, entries)):
            self.file.remove(stale)
        mine = {(pair.record, pair.digest) for pair in pairs}
        found = [entry for entry in entries if entry.meta.get("setting") == self.fingerprint and not stale(entry)]
        return {key: entry for entry in found if (key := (entry.record, str(entry.meta.get("pair")))) in mine}

    def _finish(self, pairs: Sequence[Pair], rows: int) -> Iterator[list[tuple[_Job, Entry]]]:
        """Yield entries as they are finished: a failed first try waits until a batch of second tries is full."""
        jobs, hopeless = self._jobs(pairs)
        if hopeless:
            yield hopeless
        waiting = [[jobs[index] for index in batch] for batch in batches([job.start for job in jobs], rows)]
        again: list[_Job] = []
        while waiting or again:
            if waiting and len(again) < rows:
                batch = waiting.pop(0)
            else:
                order = next(batches([job.start for job in again], rows))
                batch = [again[index] for index in order]
                again = [job for index, job in enumerate(again) if index not in set(order)]
            answers = generate(self.loaded, [job.start for job in batch])
            finished: list[tuple[_Job, Entry]] = []
            for job, made in zip(batch, answers, strict=True):
                tried = _tried(job, made.text)
                if (entry := self._entry(tried)) is not None:
                    finished.append((tried, entry))
                else:
                    again.append(self._next(tried))
            if finished:
                yield finished

    def _jobs(self, pairs: Sequence[Pair]) -> tuple[list[_Job], list[tuple[_Job, Entry]]]:
        jobs: list[_Job] = []
        hopeless: list[tuple[_Job, Entry]] = []
        for pair in pairs:
            items, notes = self._notes(pair)
            job = _Job(pair, items, PromptTokens((), 0))
            if self.donors is not None and not items:
                hopeless.append((job, self._drop(job, NO_DONORS)))
                continue
            most = self._most(pair.answer)
            try:
                ids = tuple(prompt_ids(self.loaded, self.prompt(notes, pair.request)))
            except InputError:
                ids = ()
            if not ids or len(ids) + most > self.loaded.window:
                hopeless.append((job, self._drop(job, NO_ROOM)))
            else:
                jobs.append(replace(job, start=PromptTokens(ids, most, stop_repetition=False)))
        return jobs, hopeless

    def _notes(self, pair: Pair) -> tuple[tuple[Item, ...], str | None]:
        if self.donors is None:
            return (), None
        seed = f"{self.recipe.seed} {pair.record} {pair.digest}"
        items = tuple(self.donors.draw(self.file.user, pair, self.recipe.k, seed))
        return items, notes_of(items, self.recipe.item_words)

    def _most(self, answer: str) -> int:
        if self.recipe.max_new_tokens is not None:
            return self.recipe.max_new_tokens
        length = len(text_ids(self.loaded, answer))
        return min(max(2 * length + 8, 16), 256)

    def _next(self, job: _Job) -> _Job:
        seed = f"{self.recipe.seed} {job.pair.record} {job.pair.digest} {job.number + 1}"
        sampling = Sampling(self.recipe.temperature, seed=seed)
        return replace(job, number=job.number + 1, start=replace(job.start, sampling=sampling))

    def _entry(self, job: _Job) -> Entry | None:
        """Return the contrast, or the dropped record once all tries have failed; None: to be tried again."""
        if job.best is not None and job.best[0] < self.recipe.limit(job.pair.answer):
            similarity, text = job.best
            meta = self._meta(job) | {"try": job.number, "similarity": round(similarity, 4), "seed": self.recipe.seed}
            pair, donors = job.pair, _hashes(job)
            return Contrast(
                pair.request, pair.answer, text, self.recipe.source, pair.record, pair.when, donors=donors, meta=meta
            )
        return self._drop(job, job.reason) if job.number >= self.recipe.tries else None

    def _drop(self, job: _Job, reason: str) -> Dropped:
        meta = self._meta(job) | ({"similarity": round(job.best[0], 4)} if job.best else {})
        return Dropped(job.pair.record, reason, _hashes(job), meta)

    def _meta(self, job: _Job) -> dict[str, object]:
        return {"model": self.loaded.name, "setting": self.fingerprint, "pair": job.pair.digest}

    def _write(self, finished: Sequence[tuple[_Job, Entry]]) -> None:
        def still() -> list[bool]:
            known = {
                (entry.record, entry.meta.get("pair"))
                for entry in self.file.entries()
                if entry.meta.get("setting") == self.fingerprint
            }
            return [_key(job.pair) not in known and self._alive(job) for job, _ in finished]

        self.file.append([entry for _, entry in finished], still)

    def _alive(self, job: _Job) -> bool:
        own = not job.pair.record or self.holds(self.file.user, job.pair.record)
        return own and all(self.holds(user, record.id) for user, record in job.items)


def _key(pair: Pair) -> tuple[str, str]:
    return pair.record, pair.digest


def _hashes(job: _Job) -> tuple[tuple[str, str], ...]:
    return tuple(source_of(user, record.id) for user, record in job.items)


def _tried(job: _Job, text: str) -> _Job:
    """Return the job with the result of a try: the best so far counts."""
    if not text or text == job.pair.answer:
        return replace(job, reason=job.reason if job.best else EQUAL if text else EMPTY)
    similarity = rouge_l(job.pair.answer, text)
    if job.best is None or similarity < job.best[0]:
        return replace(job, best=(similarity, text), reason=TOO_CLOSE)
    return job
