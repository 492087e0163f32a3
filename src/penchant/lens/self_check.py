"""A check of each model before it is used: does the lens see what the model computes with?

Families differ in ways that names don't show: a soft cap or a sink in the attention, a head count other than the
config's, a layer whose attention is ignored. So two things are measured: at every layer the attention rows sum to 1
and, multiplied by the values, give the output of the attention; and a changed row changes the logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from penchant.errors import ModelError
from penchant.inference.attention_hooks import Call, editing
from penchant.inference.forward import logits
from penchant.lens.rows import attention_rows
from penchant.models.anatomy import attending_layers
from penchant.models.loading import LoadedModel

_TOKENS = 6
_TOLERANCE = {torch.float32: 1e-3}
_COARSE = 0.05
"""Tolerance relative to the largest attention output; rounding alone gives about 1e-6 in float32 and 0.01 in
bfloat16.
"""

_scalings: WeakKeyDictionary[PreTrainedModel, Mapping[int, float]] = WeakKeyDictionary()


def checked_scalings(loaded: LoadedModel) -> Mapping[int, float]:
    """Check the model, and return the factor that multiplies query . key at each layer that attends.

    Costs three forward passes of six tokens, once per model. Raises `ModelError` with what was found and expected.
    """
    if loaded.model not in _scalings:
        # In a separate context: interventions and reads around this call don't affect it.
        _scalings[loaded.model] = Context().run(_check, loaded)
    return _scalings[loaded.model]


@torch.no_grad()
def _check(loaded: LoadedModel) -> Mapping[int, float]:
    vocabulary = int(loaded.model.config.get_text_config().vocab_size)
    ids = (torch.arange(_TOKENS)[None] * 7919 + 13) % vocabulary
    look, layers = _Look(loaded), attending_layers(loaded.model)
    with editing(look):
        plain = logits(loaded, ids, last=1)
    if sorted(look.scalings) != layers:
        raise ModelError(
            f"{loaded.name} attends at layers {sorted(look.scalings)} and has attention at {layers}: expected the same "
            "layers; use another model"
        )
    for layer in {layers[0], layers[-1]}:
        with editing(_Change(layer)):
            if torch.equal(logits(loaded, ids, last=1), plain):
                raise ModelError(
                    f"{loaded.name}: a changed attention row at layer {layer} doesn't change the logits: "
                    "expected it to; use another model"
                )
    return look.scalings


class _Look:
    """Compares every attention call with the lens's own computation of it."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded, self.scalings = loaded, dict[int, float]()

    def edit(self, module: nn.Module, call: Call) -> Tensor:
        layer, name = int(module.layer_idx), self.loaded.name  # type: ignore[arg-type]
        shape = (call.query.shape[1], call.key.shape[1], call.query.shape[3])
        expected = (self.loaded.num_heads, self.loaded.num_kv_heads, self.loaded.head_dim)
        if shape != expected:
            raise ModelError(
                f"{name} has (heads, key heads, size) {shape} at layer {layer}: its configuration says {expected}; "
                "use another model"
            )
        rows = attention_rows(call.query, call.key, call.mask, call.scaling, None)
        total = rows.sum(-1)
        if not torch.allclose(total, torch.ones_like(total), atol=1e-3):
            raise ModelError(f"{name}: attention rows at layer {layer} sum to {float(total.mean()):.3f}: expected 1")
        made, output = _output(rows, call.value), call.output.float()
        limit = _TOLERANCE.get(self.loaded.dtype, _COARSE) * float(output.abs().max())
        if not float((made - output).abs().max()) <= limit:
            raise ModelError(
                f"{name}: the attention at layer {layer} isn't softmax(query . key) x value (off by "
                f"{float((made - output).abs().max()):.3g}): expected that and nothing else; use another model"
            )
        self.scalings[layer] = call.scaling
        return call.output


class _Change:
    """Makes the last token attend only to the first, at one layer."""

    def __init__(self, layer: int) -> None:
        self.layer = layer

    def edit(self, module: nn.Module, call: Call) -> Tensor:
        if int(module.layer_idx) != self.layer:  # type: ignore[arg-type]
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
