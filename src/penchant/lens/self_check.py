"""A check of each model before it is used: does the lens see what the model computes with?

Families differ in ways that names don't show: something added in the attention, heads other than the config's, a layer
whose attention is ignored. So two things are measured: at every layer the attention rows sum to 1 (with what a sink
takes) and, multiplied by the values, give the output of the attention; and a changed row changes the logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from penchant.errors import ModelError
from penchant.inference.attention_hooks import Call, editing, layer_of
from penchant.inference.forward import logits
from penchant.lens.rows import attention_rows
from penchant.models.anatomy import attending_layers
from penchant.models.loading import LoadedModel

INSTEAD = "mark with bm25 or dense (--marker bm25; in a chat, --memory bm25-5 too), or use another model"
"""What to do about a model that can't be marked by attention."""
_TOKENS = 6
_TOLERANCE = {torch.float32: 1e-3}
_COARSE = 0.05
"""Tolerance relative to the largest attention output; rounding alone gives about 1e-6 in float32 and 0.01 in
bfloat16.
"""


@dataclass(frozen=True, eq=False)
class LayerHeads:
    """The heads of one layer as they are, whatever the config says. width: of queries and keys. scaling: the factor
    that multiplies query . key. cap, sinks: see `Call`.
    """

    heads: int
    kv_heads: int
    width: int
    scaling: float
    cap: float | None = None
    sinks: Float[Tensor, " heads"] | None = None


_checked: WeakKeyDictionary[PreTrainedModel, Mapping[int, LayerHeads]] = WeakKeyDictionary()


def checked_layers(loaded: LoadedModel) -> Mapping[int, LayerHeads]:
    """Check the model, and return the heads of each layer that attends.

    Costs three forward passes of six tokens, once per model. Raises `ModelError` with what was found and expected.
    """
    if loaded.model not in _checked:
        # In a separate context: interventions and reads around this call don't affect it.
        _checked[loaded.model] = Context().run(_check, loaded)
    return _checked[loaded.model]


@torch.no_grad()
def _check(loaded: LoadedModel) -> Mapping[int, LayerHeads]:
    vocabulary = int(loaded.model.config.get_text_config().vocab_size)
    ids = (torch.arange(_TOKENS)[None] * 7919 + 13) % vocabulary
    look, layers = _Look(loaded), attending_layers(loaded.model)
    with editing(look):
        plain = logits(loaded, ids, last=1)
    if sorted(look.layers) != layers:
        raise ModelError(
            f"{loaded.name} attends at layers {sorted(look.layers)} and has attention at {layers}: expected the same "
            f"layers; {INSTEAD}"
        )
    for layer in {layers[0], layers[-1]}:
        with editing(_Change(layer)):
            if torch.equal(logits(loaded, ids, last=1), plain):
                raise ModelError(
                    f"{loaded.name}: a changed attention row at layer {layer} doesn't change the logits: "
                    f"expected it to; {INSTEAD}"
                )
    return look.layers


class _Look:
    """Compares every attention call with the lens's own computation of it."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded, self.layers = loaded, dict[int, LayerHeads]()

    def edit(self, module: nn.Module, call: Call) -> Tensor:
        layer, name = layer_of(module), self.loaded.name
        heads, kv_heads, width = call.query.shape[1], call.key.shape[1], call.query.shape[3]
        if heads != self.loaded.num_heads or heads % kv_heads:
            raise ModelError(
                f"{name} has {heads} heads and {kv_heads} key heads at layer {layer}: its configuration says "
                f"{self.loaded.num_heads} heads; {INSTEAD}"
            )
        rows = attention_rows(call.query, call.key, call.mask, call.scaling, None, cap=call.cap, sinks=call.sinks)
        total = rows.sum(-1)
        if call.sinks is None and not torch.allclose(total, torch.ones_like(total), atol=1e-3):
            raise ModelError(f"{name}: attention rows at layer {layer} sum to {float(total.mean()):.3f}: expected 1")
        made, output = _output(rows, call.value), call.output.float()
        limit = _TOLERANCE.get(self.loaded.dtype, _COARSE) * float(output.abs().max())
        if not float((made - output).abs().max()) <= limit:
            raise ModelError(
                f"{name}: the attention at layer {layer} isn't softmax(query . key) x value (off by "
                f"{float((made - output).abs().max()):.3g}): expected that and nothing else; {INSTEAD}"
            )
        self.layers[layer] = LayerHeads(heads, kv_heads, width, call.scaling, call.cap, call.sinks)
        return call.output


class _Change:
    """Makes the last token attend only to the first, at one layer."""

    def __init__(self, layer: int) -> None:
        self.layer = layer

    def edit(self, module: nn.Module, call: Call) -> Tensor:
        if layer_of(module) != self.layer:
            return call.output
        rows = call.query.new_zeros(*call.query.shape[:2], 1, call.key.shape[2])
        rows[..., 0] = 1.0
        output = call.output.clone()
        output[:, -1:] = _output(rows, call.value).to(output.dtype)
        return output


def _output(
    rows: Float[Tensor, "batch heads rows context"], value: Float[Tensor, "batch kv_heads context dim"]
) -> Float[Tensor, "batch rows heads dim"]:
    groups = rows.shape[1] // value.shape[1]
    return (rows.float() @ value.float().repeat_interleave(groups, 1)).transpose(1, 2)
