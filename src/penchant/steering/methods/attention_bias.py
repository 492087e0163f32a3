"""Attention bias (emphasis): marked segments of a prompt get more attention, without changing its text.

After PASTA (Zhang et al. 2023, arXiv 2311.02262), which reduces the weight of everything else; here a bonus in nats is
added to the attention logits of the marked tokens, in chosen heads. Before the softmax, both are the same up to a
constant. The contract:

1. Each row of a batch has its own spans; a row without spans is unchanged. A batch of k times the rows holds k adjacent
   beams of each row, as `generate` lays them out.
2. Positions count a row's own tokens, without padding, and are right under left and right padding, with a KV cache, for
   a prompt prefilled in chunks, and in layers with a sliding window (tokens outside it get no bonus).
3. Only tokens from `begin` on see the bonus. The prompt's keys and values before it are bitwise unchanged, and so are
   the other heads, rows without spans, and everything if all bonuses are zero.
4. Decoding allocates [rows, heads, 1, context] for the mask; a prefill, at most `MASK` numbers at a time.
5. On exit everything is undone; other threads and contexts aren't affected. Nothing synchronises with the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from threading import Lock
from typing import Any
from weakref import WeakSet

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from penchant.errors import InputError
from penchant.inference.attention_hooks import Call, editing, install
from penchant.inference.positions import TokenPositions
from penchant.inference.writing import check_rows, slot_of, spread
from penchant.lens.calibration import Calibration
from penchant.models.anatomy import attention_module, decoder_layers, decoder_of
from penchant.models.loading import LoadedModel
from penchant.steering.methods.biased_softmax import attend, biased_mask
from penchant.steering.methods.spans import find_pieces, token_spans

Heads = Mapping[int, Sequence[int] | None]
"""Layer -> query heads; None: all heads of the layer."""

BONUS = 1.0
"""In nats; see docs/methods/emphasis.md for the values that were tried."""

MASK = 1 << 24
"""Most numbers of a mask in memory at a time."""


@dataclass(frozen=True)
class AttentionBias:
    """The emphasis in one prompt.

    spans: [start, end) in the prompt's tokens, without padding. bonus: nats for each span; where spans overlap, the
    largest counts; a negative one reduces attention. begin: the first token that sees the bonus (None: the one after
    the last span).

    Raises `InputError` for an empty span, a number of bonuses other than that of spans, or one that isn't finite.
    """

    spans: tuple[tuple[int, int], ...]
    bonus: tuple[float, ...]
    begin: int | None = None

    def __post_init__(self) -> None:
        if len(self.spans) != len(self.bonus):
            raise InputError(f"{len(self.bonus)} bonuses for {len(self.spans)} spans: expected one each")
        for start, end in self.spans:
            if not 0 <= start < end:
                raise InputError(f"span {start}:{end}: expected token positions, the end after the start")
        if not all(map(isfinite, self.bonus)) or (self.begin or 0) < 0:
            raise InputError("a bonus isn't finite or begin is negative: expected nats, and a token position")

    @property
    def first(self) -> int:
        """Return the first position that sees the bonus."""
        return max((end for _, end in self.spans), default=0) if self.begin is None else self.begin

    def by_token(self) -> Float[Tensor, " tokens"]:
        """Return the bonus of each of the prompt's tokens up to the end of the last span."""
        ends = [end for _, end in self.spans]
        out = torch.full((max(ends, default=0),), float("-inf"))
        for (start, end), bonus in zip(self.spans, self.bonus, strict=True):
            out[start:end].clamp_(min=bonus)
        return out.nan_to_num(neginf=0.0)


@contextmanager
def biased_attention(model: PreTrainedModel, emphases: Sequence[AttentionBias | None], heads: Heads) -> Iterator[None]:
    """Apply the emphasis to every forward pass of `model` in this context; `emphases`: one for each row of the batch.

    An inner emphasis replaces an outer one. Raises `InputError` for a layer or head that the model doesn't have, and
    `ModelError` for a model that can't be read.
    """
    made = _Editor(model, emphases, heads)
    editor = made if made.does_anything else None
    if editor is not None:
        install(model)
        _place_clock(editor.decoder)
    with slot_of(made.decoder, "attention").set(editor), editing(editor):
        yield


def attention_bias_on(
    loaded: LoadedModel,
    prompt: str,
    pieces: Sequence[str],
    bonus: float | Sequence[float] = BONUS,
    asked: str | None = None,
) -> AttentionBias | None:
    """Return the emphasis on the tokens of `pieces` in a rendered prompt; None if none of them is in it, or all bonuses
    are zero.

    pieces: texts of marked segments, in the prompt's order; each is searched for after the one before, then anywhere.
    bonus: nats, the same for all or one each. asked: the beginning of the request; from its last occurrence on tokens
    see the bonus (None: from the last piece on).

    Raises `InputError` as `AttentionBias`, and if `asked` isn't in the prompt.
    """
    each = [float(bonus)] * len(pieces) if isinstance(bonus, int | float) else list(bonus)
    if len(each) != len(pieces):
        raise InputError(f"{len(each)} bonuses for {len(pieces)} pieces: expected one each")
    begin = None if asked is None else prompt.rfind(asked)
    if begin == -1:
        raise InputError("the request isn't in the prompt: expected text of the rendered prompt")
    found = find_pieces(prompt, pieces)
    spans = token_spans(loaded, prompt, [one or (0, 0) for one in found])
    kept = [(span, nats) for span, nats in zip(spans, each, strict=True) if span is not None and nats]
    if not kept:
        return None
    first = None if begin is None else token_spans(loaded, prompt, [(begin, len(prompt))])[0]
    return AttentionBias(tuple(s for s, _ in kept), tuple(n for _, n in kept), None if first is None else first[0])


def retrieval_heads(calibration: Calibration) -> dict[int, list[int]]:
    """Return the heads of the attention index: the default, since they attend to relevant segments. `BONUS` is tuned
    for them.
    """
    heads: dict[int, list[int]] = {}
    for layer, head in calibration.heads:
        heads.setdefault(layer, []).append(head)
    return heads


@dataclass
class _TokenBias:
    """The current forward pass. bonus: of every token so far, by column. sees: which new tokens see it. first: no
    earlier new token sees it, in any row. offsets: layer -> the column of its first key.
    """

    bonus: Float[Tensor, "batch columns"]
    sees: Bool[Tensor, "batch new"]
    first: int
    offsets: dict[int, int]


class _Editor:
    def __init__(self, model: PreTrainedModel, emphases: Sequence[AttentionBias | None], heads: Heads) -> None:
        self.decoder = decoder_of(model)
        layers, count = decoder_layers(model), model.config.get_text_config().num_attention_heads
        device = next(model.parameters()).device
        self._heads: dict[nn.Module, tuple[int, Tensor]] = {}
        for layer, wanted in heads.items():
            chosen = torch.zeros(count, dtype=torch.bool)
            if not 0 <= layer < len(layers) or any(not 0 <= head < count for head in wanted or ()):
                raise InputError(
                    f"heads {wanted} of layer {layer}: the model has {len(layers)} layers of {count} heads, counted "
                    "from 0"
                )
            chosen[slice(None) if wanted is None else list(wanted)] = True
            if bool(chosen.any()):
                self._heads[attention_module(layers[layer])] = layer, chosen
        rows = [torch.zeros(0) if one is None else one.by_token() for one in emphases]
        self._table = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device) if rows else torch.zeros(0, 0)
        none = torch.iinfo(torch.long).max  # rows without a bonus: no token sees it
        begin = [one.first if one and bool(row.any()) else none for one, row in zip(emphases, rows, strict=True)]
        self._earliest, self._begin = min(begin, default=none), torch.tensor(begin).to(device)
        self.does_anything = self._earliest < none and bool(self._heads)
        self._selected: dict[nn.Module, tuple[Tensor | slice, Tensor]] = {}
        self._pass: _TokenBias | None = None

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Called before the decoder runs: compute the positions of this pass."""
        tokens = TokenPositions.of(kwargs if not args else {"input_ids": args[0], **kwargs})
        if len(args) > 1 or not (tokens.attention is None or tokens.flat is not None):
            raise InputError(
                "emphasis reads padding from an attention mask [rows, tokens], by name: expected one, or none"
            )
        check_rows(tokens.batch, len(self._begin))
        past, cache = int(tokens.past), kwargs.get("past_key_values")
        at = tokens.columns().to(self._begin.device).expand(tokens.batch, -1)
        table, begin = (spread(one, tokens.batch) for one in (self._table, self._begin))
        width = table.shape[1]
        bonus = (
            table.expand(tokens.batch, -1).gather(1, at.clamp(0, width - 1)).masked_fill(at >= width, 0.0)
        )  # hidden columns: any value
        sees = (at >= begin[:, None])[:, past:]  # padding after a row may; nothing attends to it
        # A token's own position is never beyond its column, so `first` needs no look at the padding.
        offsets = {
            layer: int(cache.get_mask_sizes(tokens.new, layer)[1]) if cache is not None else 0
            for layer, _ in self._heads.values()
        }
        self._pass = _TokenBias(bonus, sees, max(0, self._earliest - past), offsets)

    def edit(self, module: nn.Module, call: Call) -> Tensor:
        """Return the output with the bonus where it is seen: a second SDPA over the new tokens from the first such one
        on, for the affected key heads; everything else is from the first SDPA.
        """
        now, chosen = self._pass, self._heads.get(module)
        batch, count, new, dim = call.query.shape
        if now is None or chosen is None or now.first >= new:
            return call.output
        kv_heads, context = call.key.shape[1:3]
        kept, selected = self._grouped(module, chosen[1], kv_heads, call.query.device)
        groups = count // kv_heads
        query = call.query.reshape(batch, kv_heads, groups, new, dim)[:, kept]
        key, value = call.key[:, kept], call.value[:, kept]
        offset = now.offsets[chosen[0]]
        bonus = now.bonus[:, offset : offset + context].to(call.query)
        bonus = nn.functional.pad(bonus, (0, context - bonus.shape[1]))  # keys of a static cache still to come
        bonus = bonus[:, None, None, None] * selected[:, :, None, None]
        output = call.output.clone()
        grouped = output.view(batch, new, kv_heads, groups, -1)
        step = max(1, MASK // (bonus.shape[1] * batch * groups * context))
        for start, end in pairwise([*range(now.first, new, step), new]):
            mask = biased_mask(bonus, call, kept, start, end)
            sinks = None if call.sinks is None else call.sinks.reshape(kv_heads, groups)[kept]
            made = attend(replace(call, query=query[:, :, :, start:end], key=key, value=value, mask=mask, sinks=sinks))
            made = made.permute(0, 3, 1, 2, 4)
            where = now.sees[:, start:end, None, None, None].to(made.device) & selected[:, :, None]
            grouped[:, start:end, kept] = torch.where(where, made, grouped[:, start:end, kept])
        return output

    def _grouped(
        self, module: nn.Module, chosen: Tensor, kv_heads: int, device: torch.device
    ) -> tuple[Tensor | slice, Tensor]:
        """Return the key heads of the chosen query heads, and which query heads of each are chosen: bool [kept,
        groups].
        """
        if module not in self._selected:
            by_key = chosen.reshape(kv_heads, -1)
            read = by_key.any(1)
            kept = slice(None) if bool(read.all()) else read.nonzero()[:, 0].to(device)
            self._selected[module] = kept, by_key[read].to(device)
        return self._selected[module]


_clocked: WeakSet[nn.Module] = WeakSet()
_placing = Lock()


def _place_clock(decoder: nn.Module) -> None:
    """Place a permanent hook: removing it while another thread runs the model wouldn't be safe. When idle, it does
    nothing.
    """
    with _placing:
        if decoder not in _clocked:
            decoder.register_forward_pre_hook(_clock, with_kwargs=True)
            _clocked.add(decoder)


def _clock(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    editor = slot_of(module, "attention").current()
    if isinstance(editor, _Editor):
        editor.start(args, kwargs)
