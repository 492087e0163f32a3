"""Hooks for attention: one attention function and its mask function, registered with transformers.

Every decoder of transformers looks up its attention function by name at each call. `install` makes a model use a
function that shows queries and keys (rotated, normalised, after the cache was updated) to the context's observer,
computes plain SDPA, and passes the result to the context's editor, if there is one. The mask function is registered
under the same name: without it, a cached prefill would get no mask, and SDPA's `is_causal` would align it to the wrong
corner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from penchant.errors import ModelError

ATTENTION = "penchant"


@runtime_checkable
class Observer(Protocol):
    """Observes an attention call. May raise to end the forward pass."""

    def see(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None: ...


@dataclass(frozen=True)
class Call:
    """The inputs and output of one call of SDPA; its tensors must not be modified.

    query [batch, heads, new, dim]; key, value [batch, kv heads, context, dim]; mask: boolean, additive or None [batch
    or 1, heads or 1, new, context or more]; None: causal from the first key, or everything visible for a single new
    token. output [batch, new, heads, value dim].
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scaling: float
    output: Tensor


@runtime_checkable
class Editor(Protocol):
    """Edits attention outputs: returns another output, or the call's own (the same object) to leave it unchanged."""

    def edit(self, module: torch.nn.Module, call: Call) -> Tensor: ...


_observer: ContextVar[Observer | None] = ContextVar("penchant_observer", default=None)
_editor: ContextVar[Editor | None] = ContextVar("penchant_editor", default=None)


def _attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, Tensor | None]:
    observer, editor = _observer.get(), _editor.get()
    scaling = kwargs.get("scaling")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if observer is not None:
        layer = int(module.layer_idx)  # type: ignore[arg-type]  # set by every decoder of the library
        observer.see(layer, query, key, attention_mask, scale)
    output, weights = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    if editor is not None:
        output = editor.edit(module, Call(query, key, value, attention_mask, scale, output))
    return output, weights


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def install(model: PreTrainedModel) -> None:
    """Make `model` attend through the hooks; idempotent. Without an observer or editor, the model computes exactly what
    SDPA computes.

    Raises `ModelError` for a model that doesn't use the registry of transformers, or doesn't support SDPA.
    """
    if model.config._attn_implementation == ATTENTION:
        return
    # Families without SDPA support add something (soft caps, sinks) that the hooks would refuse or, worse, leave out.
    if getattr(model, "_supports_attention_backend", False) and getattr(model, "_supports_sdpa", False):
        model.set_attn_implementation(ATTENTION)
    if model.config._attn_implementation != ATTENTION:
        raise ModelError(
            f"the attention of {type(model).__name__} isn't plain SDPA from the registry of transformers, so it can't "
            "be read: expected a decoder such as Llama, Qwen, Gemma 3, Phi, Mistral or GPT-NeoX; use another model"
        )


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Show every attention call in this context (this thread or task only) to `observer`."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


@contextmanager
def editing(editor: Editor | None) -> Iterator[None]:
    """Let `editor` change the output of every attention call in this context (this thread or task only); None: no
    editor.

    It replaces an outer editor; the observer is unaffected.
    """
    token = _editor.set(editor)
    try:
        yield
    finally:
        _editor.reset(token)
