"""A batch of rows that a model reads incrementally, with its cache and padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import Cache

from penchant.inference.batching import Padded, beside, pad_left, stacked
from penchant.inference.forward import PREFILL, hidden_states, logits
from penchant.inference.kv_cache import ROOM, Checkpoint, branch, growing_cache, is_filled, merge
from penchant.inference.recurrence import has_states, recurrence
from penchant.models.loading import LoadedModel


@dataclass(eq=False)
class CachedRows:
    """A batch and its cache. read_so_far: how many tokens per row were read, padding included."""

    loaded: LoadedModel
    cache: Cache
    read_so_far: Padded

    @classmethod
    def empty(cls, loaded: LoadedModel, rows: int, *, rewind: bool = True, room: int = ROOM) -> CachedRows:
        """Make an empty batch. rewind: allow `checkpoint` and `branch`; without it, layers with a sliding window keep
        only their window. room: see `growing_cache`.
        """
        return cls(loaded, growing_cache(loaded.model, whole=rewind, room=room), pad_left([[]] * rows))

    @property
    def seen(self) -> Bool[Tensor, "rows tokens"]:
        """The tokens read so far: True, or False at padding."""
        return self.read_so_far.there

    def read(self, new: Padded, *, last: int = 1, step: int | None = None) -> Float[Tensor, "rows _ vocab"]:
        """Read `new` tokens after the others. Returns the logits after the `last` of them, in the model's dtype; with
        0, the LM head doesn't run. step: tokens per row in one forward pass (None: all).

        Raises `ModelError` if a recurrent model would compute a wrong result (`check_readable`).
        """
        width, parts = new.ids.shape[1], []
        one_pass = not self.read_so_far.ids.numel() and (step is None or step >= width)
        able = None if one_pass and not has_states(self.loaded) else recurrence(self.loaded)
        if step is None or (able is not None and not able.chunk):
            step = max(width, 1)
        for start in range(0, width, step):
            end = min(start + step, width)
            part = Padded(new.ids[:, start:end], new.there[:, start:end])
            before, self.read_so_far = self.read_so_far, beside(self.read_so_far, part)
            ids, wanted = part.ids, min(end - start, max(0, end - width + last))
            if able is not None and before.ids.numel() and not (able.step if end - start == 1 else able.chunk):
                # A model that can't continue reads everything again from the beginning, in one pass.
                ids, self.cache = self.read_so_far.ids, growing_cache(self.loaded.model)
            cache = self.cache if able is None or able.cache else None
            if wanted:
                parts.append(logits(self.loaded, ids, seen=self.seen, cache=cache, last=wanted))
            else:
                hidden_states(self.loaded, ids, seen=self.seen, cache=cache)
        if len(parts) == 1:  # the logits of many tokens are large: not copied for nothing
            return parts[0]
        return torch.cat(parts, 1) if parts else torch.zeros(len(new.ids), 0, 0)

    def prefill(self, prompts: Padded) -> Float[Tensor, "rows vocab"]:
        """Read prompts, padded on the left, in passes of bounded size; return the logits after them."""
        rows, width = prompts.ids.shape
        return self.read(prompts, step=max(1, PREFILL // rows) if width > PREFILL else None)[:, -1]

    def feed(self, tokens: list[int]) -> Float[Tensor, "rows vocab"]:
        """Read one more token of each row; return the logits after it."""
        ids = torch.tensor(tokens)[:, None]
        return self.read(Padded(ids, torch.ones_like(ids, dtype=torch.bool)))[:, -1]

    def checkpoint(self) -> Callable[[], None]:
        """Return a function that goes back to the current state, any number of times."""
        read, cache, kept = self.read_so_far, self.cache, Checkpoint(self.cache)

        def restore() -> None:
            self.read_so_far, self.cache = read, cache
            kept.restore()

        return restore

    def branch(self, rows: int | None = None) -> CachedRows:
        """Return an independent continuation of what has been read. rows: how many copies of a single row."""
        read = self.read_so_far
        if rows is not None:
            read = Padded(read.ids.expand(rows, -1), read.there.expand(rows, -1))
        return CachedRows(self.loaded, branch(self.cache, rows), read)

    @classmethod
    def merged(cls, parts: Sequence[tuple[CachedRows, Sequence[int]]]) -> CachedRows:
        """Copy rows of several batches of one model into a new batch, without the padding that none of them needs.
        parts: batches, each with positions of its rows. What any of them reads later doesn't change the others.
        """
        loaded = parts[0][0].loaded
        read = stacked([Padded(one.read_so_far.ids[list(rows)], one.seen[list(rows)]) for one, rows in parts])
        if not is_filled(parts[0][0].cache):  # of a model that reads everything again at each step
            return cls(loaded, growing_cache(loaded.model), read)
        return cls(loaded, merge([(one.cache, rows, slice(_padding(one, rows), None)) for one, rows in parts]), read)

    def first(self, tokens: int) -> CachedRows:
        """Copy the first tokens of each row (of a model without recurrent layers, unless these are all of them)."""
        rows = range(len(self.read_so_far.ids))
        read = Padded(self.read_so_far.ids[:, :tokens], self.seen[:, :tokens])
        return CachedRows(self.loaded, merge([(self.cache, rows, slice(tokens))]), read)


def _padding(rows: CachedRows, chosen: Sequence[int]) -> int:
    """Return how many columns at the front are padding in all chosen rows."""
    seen = rows.seen[list(chosen)].any(0)
    return int(seen.int().argmax()) if bool(seen.any()) else 0
