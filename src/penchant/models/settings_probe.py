"""A fingerprint of a model's settings: what the network computes with weights that are the same for every model.

Which settings change the logits differs by family and by release, so they aren't listed but tried: a copy of the
network, with fixed numbers in place of its weights, reads a few tokens, and the logits are hashed. Weights don't count
here; `models.fingerprint` hashes them exactly.

Rounded logits can't be hashed as they are: processors differ in the last digits, and a value near the edge of two
roundings would fall to either side. So everything is computed in float64, also what the network asks for in float32,
where the differences (1e-12) are a millionth of the rounding: two machines disagree about one model in 100,000. The
numbers are small views of one table, and the vocabulary has ROWS words, so a large model costs no memory.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedConfig, PreTrainedModel

TOKENS, ROWS = 8, 64
"""Tokens that are read, and rows of each embedding."""
CELL = 2.0**-20
"""Logits, which have a size of about 1, are rounded to multiples of this."""
COUNT = 16
"""How many logits are hashed."""
_OFFSETS, _SHIFT, _DRAWN = 4096, 64, 1_000_003
_NARROW = (torch.float32, torch.bfloat16, torch.float16)


Named = Callable[[str], str | None]
"""From the name of a parameter to the one that chooses its numbers; None: it has no part in the pass."""


def settings_probe(model: PreTrainedModel, named: Named = str, *, adapters: bool = True) -> str | None:
    """Return the SHA-256 (hex) of what a network computes regardless of its weights; None if it can't be computed so
    (packed weights of a quantised model). adapters: with those that are in use.

    The model isn't touched, so other threads may use it meanwhile. Independent of device, number format and path.
    """
    try:
        rows = _logits(model, named, adapters)
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, NotImplementedError):
        return None  # code of all families runs here, with weights of another format than it may expect
    cells = [f"{round(value / CELL)}" if math.isfinite(value) else "?" for value in rows[-1, -COUNT:].tolist()]
    return hashlib.sha256(" ".join(cells).encode()).hexdigest()


@torch.no_grad()
def _logits(model: PreTrainedModel, named: Named, adapters: bool) -> Tensor:
    network = _Copy(_fixed_weights(model, named), adapters).of(model)
    ids = (torch.arange(TOKENS)[None] * 7 + 3) % ROWS
    with _Double():
        logits: Tensor = network(ids, use_cache=False).logits[0]
    if logits.dtype != torch.float64:
        raise RuntimeError(f"logits in {logits.dtype}")
    return logits


class _Double(TorchFunctionMode):
    """Gives float64 wherever a shorter format is asked for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16):
            func = torch.Tensor.double
        options = {key: _double(value) for key, value in (kwargs or {}).items()}
        return func(*(_double(one) for one in args), **options)


def _double(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROW else value


def _fixed_weights(model: PreTrainedModel, named: Named) -> dict[int, Tensor]:
    """Return numbers for every parameter, by the parameter's id: float64, on the CPU."""
    short = {id(one.weight) for one in model.modules() if isinstance(one, nn.Embedding)}
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    short |= {id(one) for one in (() if head is None else head.parameters())}
    found: list[tuple[str, int, tuple[int, ...]]] = []
    for name, one in model.named_parameters():
        if not one.is_floating_point():
            raise TypeError(f"{name} is packed")
        shape = (min(ROWS, one.shape[0]), *one.shape[1:]) if id(one) in short else tuple(one.shape)
        found.append((named(name) or "", id(one), shape))
    length = _OFFSETS + max((_room(shape) for *_, shape in found), default=0)
    drawn = torch.randn(_DRAWN, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table = drawn.repeat(-(-length // _DRAWN))
    scaled: dict[int, Tensor] = {}
    made = {}
    for name, key, shape in found:
        # Columns of length 1: activations keep their size through any number of layers.
        columns = shape[-1] if len(shape) > 1 else 0
        if columns not in scaled:
            scaled[columns] = table * columns**-0.5 if columns else 0.5 + 0.2 * table
        offset = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big") % _OFFSETS
        made[key] = scaled[columns].as_strided(shape, _strides(shape), offset)
    return made


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Matrices are contiguous; those of one tensor (experts) overlap."""
    inner = tuple(math.prod(shape[at + 1 :]) for at in range(len(shape)))
    return (*([_SHIFT] * (len(shape) - 2)), *inner[-2:])


def _room(shape: tuple[int, ...]) -> int:
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, _strides(shape), strict=True))


class _Copy:
    """Copies a network without its weights and hooks; what shares a module or a config in the original shares one in
    the copy.
    """

    def __init__(self, weights: Mapping[int, Tensor], adapters: bool) -> None:
        self.weights, self.adapters, self._made = weights, adapters, dict[int, Any]()

    def of(self, module: nn.Module) -> nn.Module:
        if id(module) in self._made:
            made: nn.Module = self._made[id(module)]
            return made
        made = module.__new__(type(module))
        self._made[id(module)] = made
        state = {name: self._attribute(value) for name, value in vars(module).items()}
        state |= {name: type(value)() for name, value in vars(module).items() if name.endswith("_hooks")}
        state["training"] = False
        if not self.adapters and "_disable_adapters" in state | vars(type(module)):
            state["_disable_adapters"] = True
        if "_hf_hook" in state:  # accelerate's, which moves weights: the class's own forward is behind it
            state.pop("forward", None)
        state["_parameters"] = {
            name: None if one is None else self.weights[id(one)] for name, one in module._parameters.items()
        }
        state["_buffers"] = {name: _rounded(one) for name, one in module._buffers.items()}
        state["_modules"] = {name: None if one is None else self.of(one) for name, one in module._modules.items()}
        vars(made).update(state)
        return made

    def _attribute(self, value: Any) -> Any:
        if isinstance(value, nn.Module):
            return self.of(value)
        if isinstance(value, PreTrainedConfig):
            if id(value) not in self._made:
                made = copy.deepcopy(value)
                # Other implementations take no float64.
                made._experts_implementation_internal = "eager"
                self._made[id(value)] = made
            return self._made[id(value)]
        return value


def _rounded(buffer: Tensor | None) -> Tensor | None:
    """A buffer as in a model of any number format."""
    if buffer is None or not buffer.is_floating_point():
        return buffer if buffer is None else buffer.cpu()
    return buffer.cpu().to(torch.bfloat16).to(torch.float64)
