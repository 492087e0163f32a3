"""Hooks for attention: attention functions and their mask functions, registered with transformers.

Every decoder of transformers looks up its attention function by name at each call. `install` makes a model use a
function that shows queries and keys (rotated, normalised, after the cache was updated) to the context's observer,
computes SDPA, and passes the result to the context's editor, if there is one. Families whose attention SDPA can't
compute (Gemma 2's soft cap, gpt-oss' sinks) get their own eager function there. The mask function is registered under
the same name: without it, a cached prefill would get no mask, and SDPA's `is_causal` would align it to the wrong
corner.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from penchant.errors import ModelError
from penchant.models.anatomy import attending_layers, attention_module, decoder_layers

ATTENTION, EAGER = "penchant", "penchant_eager"
"""The names in the registry, with SDPA and with a family's own function."""
_LAYER = "penchant_layer"
"""Attribute of the attention modules that don't have their layer's number in `layer_idx` (Zamba2's)."""
_TOKENS = 6
_TOLERANCE = {torch.float32: 1e-3}
_COARSE = 0.05
"""Tolerance of the logits with the hooks, relative to the largest; other formats than float32 are allowed `COARSE`."""


@runtime_checkable
class Observer(Protocol):
    """Observes an attention call. May raise to end the forward pass."""

    def see(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None: ...


@dataclass(frozen=True)
class Call:
    """The inputs and output of one attention call; its tensors must not be modified.

    query [batch, heads, new, dim]; key, value [batch, kv heads, context, dim]; mask: boolean, additive or None [batch
    or 1, heads or 1, new, context or more]; None: causal from the first key, or everything visible for a single new
    token. output [batch, new, heads, value dim]. cap: the logits are cap * tanh(logits / cap). sinks: a logit of each
    head that takes a share of the softmax and has no value.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scaling: float
    output: Tensor
    cap: float | None = None
    sinks: Tensor | None = None


@runtime_checkable
class Editor(Protocol):
    """Edits attention outputs: returns another output, or the call's own (the same object) to leave it unchanged."""

    def edit(self, module: torch.nn.Module, call: Call) -> Tensor: ...


_observer: ContextVar[Observer | None] = ContextVar("penchant_observer", default=None)
_editor: ContextVar[Editor | None] = ContextVar("penchant_editor", default=None)


def layer_of(module: nn.Module) -> int:
    """Return the number of the layer that an attention module belongs to."""
    found: Any = getattr(module, _LAYER, module.layer_idx)  # set by every decoder of the library
    return int(found)


def _hooked(compute: Callable[..., tuple[Tensor, Tensor | None]]) -> Callable[..., tuple[Tensor, Tensor | None]]:
    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        observer, editor = _observer.get(), _editor.get()
        scaling = kwargs.get("scaling")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        if observer is not None:
            observer.see(layer_of(module), query, key, attention_mask, scale)
        output, weights = compute(module, query, key, value, attention_mask, **kwargs)
        if editor is not None:
            cap, sinks = kwargs.get("softcap"), kwargs.get("s_aux")
            output = editor.edit(module, Call(query, key, value, attention_mask, scale, output, cap, sinks))
        return output, weights

    return attend


def _sdpa(*given: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
    return sdpa_attention_forward(*given, **options)


def _own(module: nn.Module, *given: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
    """The eager function of the family, which every modeling file of transformers with the registry has."""
    function = inspect.unwrap(type(module).forward).__globals__["eager_attention_forward"]
    found: tuple[Tensor, Tensor | None] = function(module, *given, **options)
    return found


for _name, _compute, _mask in ((ATTENTION, _sdpa, "sdpa"), (EAGER, _own, "eager")):
    ALL_ATTENTION_FUNCTIONS.register(_name, _hooked(_compute))
    ALL_MASK_ATTENTION_FUNCTIONS.register(_name, ALL_MASK_ATTENTION_FUNCTIONS[_mask])


def install(model: PreTrainedModel) -> None:
    """Make `model` attend through the hooks; idempotent. Without an observer or editor, the model computes what it
    computed before.

    Whether a family can be read is tried, since transformers' flags for it say no for many that can: the hooks stay if
    they are called and the logits are the same. Costs two forward passes of six tokens. Raises `ModelError` for a model
    that can't be read, which is then as it was.
    """
    if model.config._attn_implementation in (ATTENTION, EAGER):
        return
    configs = _configs(model)
    before = [config._attn_implementation_internal for config in configs]
    layers = decoder_layers(model)
    attends = bool(attending_layers(model))
    for number in attending_layers(model):
        if (attention := attention_module(layers[number])).layer_idx != number:
            setattr(attention, _LAYER, number)
    wanted = Context().run(_logits, model) if attends else None
    for name in (ATTENTION, EAGER) if attends else ():
        for config in configs:
            config._attn_implementation_internal = name
        if wanted is not None and Context().run(_same, model, wanted):
            return
    for config, implementation in zip(configs, before, strict=True):
        config._attn_implementation_internal = implementation
    raise ModelError(
        f"{type(model).__name__} can't be marked by attention: "
        + (
            "with Penchant's hooks in its attention it computes something else"
            if attends
            else "it has no attention that goes through transformers' registry"
        )
    )


def _configs(model: PreTrainedModel) -> list[Any]:
    """The configs in which the attention modules, and those that make their masks, look for the function's name."""
    found = {id(one): one for module in model.modules() if (one := getattr(module, "config", None)) is not None}
    return [one for one in {id(model.config): model.config, **found}.values() if hasattr(one, "_attn_implementation")]


@torch.no_grad()
def _logits(model: PreTrainedModel) -> Tensor:
    vocabulary = int(model.config.get_text_config().vocab_size)
    ids = (torch.arange(_TOKENS)[None] * 7919 + 13) % vocabulary
    logits: Tensor = model(ids.to(model.device), use_cache=False).logits
    return logits.float()


def _same(model: PreTrainedModel, wanted: Tensor) -> bool:
    spy = _Counter()
    try:
        with observing(spy):
            found = _logits(model)
    except (RuntimeError, ValueError, TypeError, LookupError):  # SDPA refuses a soft cap; families pass what they like
        return False
    limit = _TOLERANCE.get(model.dtype, _COARSE) * float(wanted.abs().max())
    return spy.calls > 0 and bool((found - wanted).abs().max() <= limit)


class _Counter:
    calls = 0

    def see(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None:
        self.calls += 1


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
