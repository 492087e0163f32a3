"""Shared by learned methods: the loss of a user's answers under trainable vectors at the heads, with the model
frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import AFTER_PROMPT, Edit, Intervention, prompt_tail
from penchant.inference.likelihood import Exchange, Prefilled, batches
from penchant.inference.runtime import steered
from penchant.inference.sites import Site
from penchant.models.anatomy import attending_layers
from penchant.models.loading import LoadedModel

ROWS = 4
"""Exchanges in a batch: a user has few, and each batch is a step."""
NEW_TOKENS = 1024
"""Tokens with gradients in one batch, padding included: their logits decide how much memory is needed."""

ASIDE = 4
"""Every fourth exchange decides when learning ends."""

T = TypeVar("T")
OnLoss = Callable[[int, float], None]
"""Called with the index and the value of each of `TrainingRun.losses` as it comes."""


class Head(NamedTuple):
    layer: int
    head: int


class TrainingData:
    """Exchanges whose prompts have been read, ready for their answers to be read over and over with other vectors.

    What a scope leaves alone of a prompt is read once, without gradients; only answers cost anything afterwards.
    indices: of each batch, which of the exchanges it holds.
    Raises `InputError` for no exchanges, an empty prompt or answer, or a scope that takes in whole prompts.
    """

    def __init__(
        self, loaded: LoadedModel, exchanges: Sequence[Exchange], *, scope: str = AFTER_PROMPT, rows: int = ROWS
    ) -> None:
        tail = prompt_tail(scope)
        if tail is None:
            raise InputError(f"scope {scope}: learning needs one that leaves the prompt alone, such as {AFTER_PROMPT}")
        if not exchanges or not all(one.prompt and one.answer for one in exchanges):
            raise InputError("nothing to learn from: expected exchanges, each with a prompt and an answer")
        self.loaded, self.scope, self.exchanges = loaded, scope, tuple(exchanges)
        self.indices = list(batches(exchanges, rows, NEW_TOKENS))
        self.batches = [Prefilled(loaded, [exchanges[index] for index in indices], tail) for indices in self.indices]

    def losses(self, batch: int, edits: Mapping[Site, Edit]) -> Float[Tensor, " rows"]:
        """NLL of each answer of a batch, in nats a token, with edits of one row written to every token in the scope.

        Gradients reach whatever the edits are made of. Values are computed in float32 and rounded where they are
        written.
        """
        read = self.batches[batch]
        each = {site: _for_rows(edit, len(read.lengths)) for site, edit in edits.items()}
        with steered(self.loaded.model, Intervention(each, self.scope), read.lengths, dtype=torch.float32):
            return read.losses()

    @torch.no_grad()
    def mean(self, edits: Mapping[Site, Edit]) -> float:
        """The mean over all answers, in nats a token."""
        total = sum(float(self.losses(number, edits).sum()) for number in range(len(self.batches)))
        return total / len(self.exchanges)


def as_training_data(loaded: LoadedModel, given: Sequence[Exchange] | TrainingData, scope: str) -> TrainingData:
    """Exchanges made ready; or `TrainingData` as it is, so that the prompts aren't read again. Raises `InputError` for
    data of another scope."""
    if not isinstance(given, TrainingData):
        return TrainingData(loaded, given, scope=scope)
    if given.scope != scope:
        raise InputError(f"data for scope {given.scope}: expected {scope}")
    return given


@dataclass(frozen=True)
class TrainingRun:
    """How learning went. losses: of the held-out exchanges before anything was learned and after each pass, kept being
    the best of them; or, with none held out, of each pass while it was made."""

    losses: tuple[float, ...]
    kept: int

    @property
    def gain(self) -> float:
        """Nats a token, on the exchanges that decided."""
        return self.losses[0] - self.losses[self.kept]


def learn(
    data: TrainingData,
    parameters: Sequence[Tensor],
    edits: Callable[[], Mapping[Site, Edit]],
    *,
    held_out: TrainingData | None = None,
    penalty: Callable[[], Tensor] | None = None,
    after_step: Callable[[], None] = lambda: None,
    lr: float,
    passes: int,
    patience: int = 3,
    seed: int = 0,
    progress: OnLoss | None = None,
) -> TrainingRun:
    """Adam on the mean loss (plus `penalty`), a step for each batch, in an order drawn with `seed`; `parameters` are
    changed in place and end up as they were after the best pass.

    held_out: exchanges that decide which pass was best, and end learning when `patience` passes bring nothing; they
    may decide for none. Without them all passes are made, the last is kept, and losses are those seen on the way.
    """
    optimizer = torch.optim.Adam(parameters, lr=lr)
    draw = torch.Generator().manual_seed(seed)
    losses, kept = [], 0
    best = [one.detach().clone() for one in parameters]

    def decided(loss: float) -> None:
        losses.append(loss)
        if progress:
            progress(len(losses) - 1, loss)

    if held_out is not None:
        decided(held_out.mean(edits()))
    for _ in range(passes):
        seen = 0.0
        for batch in torch.randperm(len(data.batches), generator=draw).tolist():
            optimizer.zero_grad()
            each = data.losses(batch, edits())
            seen += float(each.detach().sum())
            loss = each.mean() if penalty is None else each.mean() + penalty()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            after_step()
        decided(seen / len(data.exchanges) if held_out is None else held_out.mean(edits()))
        if held_out is None or losses[-1] < losses[kept]:
            kept, best = len(losses) - 1, [one.detach().clone() for one in parameters]
        elif len(losses) - 1 - kept >= patience:
            break
    with torch.no_grad():
        for one, value in zip(parameters, best, strict=True):
            one.copy_(value)
    return TrainingRun(tuple(losses), kept)


def set_aside(given: Sequence[T]) -> tuple[list[T], list[T]]:
    """Split exchanges into those to learn from and those that decide when learning ends.

    Every `ASIDE`-th one decides, or the last if there are fewer; a single one does both. Raises `InputError` for none.
    """
    if not given:
        raise InputError("nothing to learn from: expected at least one exchange")
    aside = set(range(ASIDE - 1, len(given), ASIDE)) or {len(given) - 1}
    learned = [one for index, one in enumerate(given) if index not in aside]
    return learned or list(given), [given[index] for index in sorted(aside)]


def at_heads(loaded: LoadedModel, heads: Sequence[Head], values: Tensor, neutral: float = 0.0) -> dict[Site, Tensor]:
    """Rows of `values` [heads, head_dim] (or [heads, 1]) at their heads, `neutral` at all others: site -> [1, width].

    Gradients reach `values`. Raises `InputError` for a head that the model hasn't got.
    """
    found: dict[Site, Tensor] = {}
    by_layer: dict[int, list[int]] = {}
    for row, (layer, head) in enumerate(heads):
        if not (0 <= layer < loaded.num_layers and 0 <= head < loaded.num_heads):
            raise InputError(
                f"head {head} of layer {layer}: expected one of {loaded.num_layers} layers of {loaded.num_heads} heads"
            )
        by_layer.setdefault(layer, []).append(row)
    for layer, rows in sorted(by_layer.items()):
        width = values.new_full((loaded.num_heads, loaded.head_dim), neutral)
        indices = torch.tensor([heads[row].head for row in rows], device=values.device)
        found[Site(layer, "heads")] = width.index_copy(0, indices, values[rows].expand(-1, loaded.head_dim)).reshape(
            1, -1
        )
    return found


def all_heads(loaded: LoadedModel, layers: Sequence[int] | None = None) -> list[Head]:
    """Every head of the model, or of some layers."""
    attending = attending_layers(loaded.model)
    chosen = attending if layers is None else [layer for layer in layers if layer in attending]
    return [Head(layer, head) for layer in chosen for head in range(loaded.num_heads)]


def _for_rows(edit: Edit, rows: int) -> Edit:
    add, scale = (None if one is None else one.expand(rows, -1) for one in (edit.add, edit.scale))
    return Edit(add, scale)
