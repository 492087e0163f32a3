"""Extracts steering vectors from samples (differences and gradients), and the keys by which their inputs are
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.batching import length_batches, pad_left, pad_right
from penchant.inference.intervention import AFTER_PROMPT, Edit, Intervention, prompt_tail
from penchant.inference.kv_cache import Checkpoint, growing_cache
from penchant.inference.likelihood import Exchange, Prefilled, batches
from penchant.inference.runtime import steered
from penchant.inference.sites import Site, site_width
from penchant.lens.activations import pooled_activations
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids, prompt_ids, text_ids
from penchant.progress import Progress, no_progress
from penchant.steering.data.contrast import Contrast
from penchant.steering.storage.bank import KeySite, Reading

BATCH_TOKENS = 2048
"""Tokens per forward pass, padding included."""
KEY_TOKENS = 512
"""Tokens of an input that are compared; a longer one is cut to its beginning."""
ROWS, NEW_TOKENS = 4, 1024
"""Most exchanges per batch, and most tokens of their answers: gradients need all activations to be kept."""

Context = Literal["same", "own", "others"]
"""The kind of prompt: the one before both answers (answer_mean), or one with the user's own items or with other users'
(prompt_last).
"""
PromptOf = Callable[[Contrast, Context], str]
"""Returns the rendered prompt of a contrast's input."""


def read_vectors(
    loaded: LoadedModel,
    contrasts: Sequence[Contrast],
    sites: Sequence[Site],
    reading: Reading,
    prompt_of: PromptOf,
    *,
    progress: Progress = no_progress,
) -> dict[Site, Float[Tensor, "contrasts _"]]:
    """Read one vector per contrast and site, float32 on the CPU; see `Reading`. Answers are cut to the window. Apart
    from rounding, a row doesn't depend on the other rows.

    Raises `InputError` for a prompt that doesn't fit, no sites, or an unknown reading, and `ModelError` for an unknown
    site.
    """
    if reading not in ("answer_mean", "prompt_last"):
        raise InputError(f"reading {reading!r}: expected answer_mean or prompt_last")
    steps = _answer_means if reading == "answer_mean" else _prompt_ends
    found: dict[int, dict[Site, Tensor]] = {}
    for indices, pooled in steps(loaded, contrasts, sites, prompt_of):
        for row, index in enumerate(indices):
            found[index] = {site: tensor[row].cpu() for site, tensor in pooled.items()}
        progress("reading answers", len(found), len(contrasts))
    if not contrasts:
        raise InputError("no contrasts to read: expected at least one")
    return {site: torch.stack([found[index][site] for index in range(len(contrasts))]) for site in sorted(set(sites))}


def likelihood_gradients(
    loaded: LoadedModel,
    exchanges: Sequence[Exchange],
    sites: Sequence[Site],
    *,
    scope: str,
    base: Intervention | None = None,
    progress: Progress = no_progress,
) -> dict[Site, Float[Tensor, "exchanges _"]]:
    """Compute the gradient of each answer's mean log likelihood, in nats per token, with respect to a vector added to
    every token in `scope` at each site; float32 on the CPU. Apart from rounding, a row doesn't depend on the other
    rows.

    A difference of activations (Fints, CAA) says how the text of an answer differs once it is written; a gradient says
    what to change in the model so that it gets written. It is the first step of learning an offset (LoFiT, arXiv
    2406.01563), one per pair, so that pairs can be weighted by request, added and erased separately.

    base: one row that is applied meanwhile, in the same scope: the point at which gradients are taken. progress: called
    with the number of exchanges read, after each batch.

    Raises `InputError` without exchanges or sites, for a scope that includes whole prompts, or a base of another scope.
    """
    if not exchanges or not sites:
        raise InputError("nothing to read gradients of: expected at least one exchange and one site")
    tail = prompt_tail(scope)
    if tail is None:
        raise InputError(f"scope {scope}: gradients need one that leaves the prompt alone, such as {AFTER_PROMPT}")
    if base is not None and (base.scope != scope or base.rows != 1):
        raise InputError(f"a base of {base.rows} rows with scope {base.scope}: expected one row with scope {scope}")
    found = {site: torch.zeros(len(exchanges), site_width(loaded.model, site.kind, site.layer)) for site in sites}
    done = 0
    for indices in batches(exchanges, ROWS, NEW_TOKENS):
        read = Prefilled(loaded, [exchanges[index] for index in indices], tail)
        for site, gradient in _of_batch(read, sites, scope, base).items():
            found[site][torch.tensor(indices)] = gradient
        done += len(indices)
        progress("reading answers", done, len(exchanges))
    return found


def default_key(loaded: LoadedModel) -> KeySite:
    """Return the default key: the residual stream at three quarters of the model's depth, mean over the input's tokens.
    It is as good as MiniLM at distinguishing authors by their abstracts (AUC 0.68; at half the depth 0.66, at the last
    token 0.63; SmolLM2).
    """
    return KeySite(Site(3 * loaded.num_layers // 4, "block"))


def read_keys(loaded: LoadedModel, texts: Sequence[str], key: KeySite) -> Float[Tensor, "texts _"]:
    """Read the hidden state of each input alone (no template, no task), float32 on the CPU. The same for banks and
    requests.

    A first token is put before the text and isn't pooled: it is the attention sink, and its state is huge and the same
    for every text (if it is pooled, SmolLM2's AUC falls from 0.68 to 0.61). Longer texts are cut to 512 tokens. Raises
    `InputError` for no texts or one without tokens.
    """
    first = [loaded.tokenizer.bos_token_id]
    if first == [None]:
        first = text_ids(loaded, "\n")
    room = min(KEY_TOKENS, loaded.window - len(first))
    spans = []
    for text in texts:
        ids = text_ids(loaded, text)[:room]
        if not ids:
            raise InputError(f"the input {text[:40]!r} has no tokens: expected some text")
        whole = (*first, *ids)
        spans.append(_Span(whole, len(first) if key.pooling == "mean" else len(whole) - 1))
    found: dict[int, Tensor] = {}
    for indices in length_batches([len(span.ids) for span in spans], tokens=BATCH_TOKENS):
        found.update(
            zip(indices, _pooled(loaded, [spans[p] for p in indices], [key.site])[key.site].cpu(), strict=True)
        )
    if not found:
        raise InputError("no inputs to read: expected at least one")
    return torch.stack([found[index] for index in range(len(texts))])


@dataclass(frozen=True)
class _Span:
    """Tokens; those from `start` on are pooled."""

    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True)
class _Pair:
    prompt: list[int]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


_Steps = Iterator[tuple[list[int], dict[Site, Tensor]]]


def _answer_means(
    loaded: LoadedModel, contrasts: Sequence[Contrast], sites: Sequence[Site], prompt_of: PromptOf
) -> _Steps:
    pairs = []
    for contrast in contrasts:
        prompt = prompt_ids(loaded, prompt_of(contrast, "same"))
        room = loaded.window - len(prompt)
        chosen, rejected = (continuation_ids(loaded, text)[:room] for text in (contrast.chosen, contrast.rejected))
        pairs.append(_Pair(prompt, chosen, rejected))
    for indices in length_batches([pair.longest for pair in pairs], tokens=BATCH_TOKENS):
        yield indices, _chosen_minus_rejected(loaded, [pairs[index] for index in indices], sites)


def _prompt_ends(
    loaded: LoadedModel, contrasts: Sequence[Contrast], sites: Sequence[Site], prompt_of: PromptOf
) -> _Steps:
    spans = []
    for contrast in contrasts:
        both = [prompt_ids(loaded, prompt_of(contrast, context)) for context in ("own", "others")]
        spans.append([_Span(tuple(ids), len(ids) - 1) for ids in both])
    longest = [max(len(own.ids), len(others.ids)) for own, others in spans]
    for indices in length_batches(longest, tokens=BATCH_TOKENS // 2):
        ends = _pooled(loaded, [spans[index][side] for side in (0, 1) for index in indices], sites)
        yield indices, {site: tensor[: len(indices)] - tensor[len(indices) :] for site, tensor in ends.items()}


def _chosen_minus_rejected(
    loaded: LoadedModel, pairs: Sequence[_Pair], sites: Sequence[Site]
) -> dict[Site, Float[Tensor, "pairs _"]]:
    """Read differences: prompts run once, padded on the left, and both answers continue their keys and values."""
    cache = growing_cache(loaded.model)
    prompts = pad_left([pair.prompt for pair in pairs])
    pooled_activations(loaded, prompts.ids, torch.zeros(prompts.ids.shape), sites, seen=prompts.there, cache=cache)
    read = Checkpoint(cache)
    means = []
    for answers in ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs]):
        ids, weights = _padded([_Span(answer, 0) for answer in answers])
        seen = torch.cat([prompts.there, torch.ones_like(ids).bool()], 1)
        means.append(pooled_activations(loaded, ids, weights, sites, seen=seen, cache=cache))
        read.restore()
    return {site: means[0][site] - means[1][site] for site in means[0]}


def _pooled(loaded: LoadedModel, spans: Sequence[_Span], sites: Sequence[Site]) -> dict[Site, Float[Tensor, "spans _"]]:
    # Padding goes to the right, where a causal model can't see it: no mask is needed.
    ids, weights = _padded(spans)
    return pooled_activations(loaded, ids, weights, sites)


def _padded(spans: Sequence[_Span]) -> tuple[Tensor, Tensor]:
    """Return ids [spans, longest], padded on the right, and weights for the mean of each span's pooled tokens."""
    ids = pad_right([span.ids for span in spans]).ids
    weights = torch.zeros(ids.shape)
    for row, span in enumerate(spans):
        weights[row, span.start : len(span.ids)] = 1 / (len(span.ids) - span.start)
    return ids, weights


def _of_batch(read: Prefilled, sites: Sequence[Site], scope: str, base: Intervention | None) -> dict[Site, Tensor]:
    loaded, count = read.loaded, len(read.lengths)
    offsets = {
        site: torch.zeros(
            count, site_width(loaded.model, site.kind, site.layer), device=loaded.device, requires_grad=True
        )
        for site in sorted(set(sites))
    }
    edits = {} if base is None else {site: _repeated(edit, count, loaded.device) for site, edit in base.edits.items()}
    for site, offset in offsets.items():
        there = edits.get(site, Edit())
        edits[site] = Edit(offset if there.add is None else there.add + offset, there.scale)
    with torch.enable_grad(), steered(loaded.model, Intervention(edits, scope), read.lengths):
        likelihood = -read.losses().sum()
    if not likelihood.requires_grad:  # answers of one token after prompts that aren't edited
        return {site: torch.zeros_like(offset, device="cpu") for site, offset in offsets.items()}
    gradients = torch.autograd.grad(likelihood, list(offsets.values()))
    return {site: gradient.float().cpu() for site, gradient in zip(offsets, gradients, strict=True)}


def _repeated(edit: Edit, count: int, device: torch.device) -> Edit:
    add, scale = (None if one is None else one.to(device).expand(count, -1) for one in (edit.add, edit.scale))
    return Edit(add, scale)
