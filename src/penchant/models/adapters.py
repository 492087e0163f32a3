"""Which adapters of a model take part in a forward pass, how strongly, and which parameters are theirs.

peft keeps the weights of all adapters of a model in it, and activating one changes none of them: a model with two
adapters is two models with the same parameters.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn


class _Use(NamedTuple):
    """An adapter that takes part at one module. state: changes whenever its strength or its weights do."""

    module: str
    adapter: str
    scale: float | None
    merged: bool
    state: tuple[tuple[int, int], ...]


Uses = tuple[_Use, ...]


def adapters_in_use(model: nn.Module) -> Uses:
    """Return the adapters that take part in a forward pass, by module; nothing for a model without, or with all of them
    disabled. Hashable, and equal only if nothing has changed in between. Takes a millisecond; without peft, nothing.
    """
    uses: list[_Use] = []
    for name, module in _tuners(model):
        merged = list(getattr(module, "merged_adapters", []))
        active = [] if module.disable_adapters else list(module.active_adapters)
        scales = getattr(module, "scaling", {})
        for adapter in dict.fromkeys([*active, *merged]):
            weights = [weight for _, weight in _weights(module, adapter)]
            if weights:
                scale = scales.get(adapter) if isinstance(scales, dict) else None
                state = tuple((id(one), 0 if one.is_inference() else one._version) for one in weights)
                uses.append(_Use(name, adapter, scale, adapter in merged, state))
    return tuple(uses)


def base_name(model: nn.Module) -> Callable[[str], str | None]:
    """Return a function from a parameter's name to the name it has without adapters; None for those of adapters."""
    tuners = sorted(_tuners(model), key=lambda one: len(one[0]), reverse=True)
    owned = tuple(f"{name}.{part}." for name, module in tuners for part in _parts(module))
    wrapped = [(f"{name}.{inner}.", f"{name}.") for name, _ in tuners for inner in ("base_layer", "original_module")]
    outer = "base_model.model." if tuners and hasattr(model, "peft_config") and hasattr(model, "base_model") else ""

    def named(parameter: str) -> str | None:
        if owned and parameter.startswith(owned):
            return None
        for inside, plain in wrapped:
            if parameter.startswith(inside):
                parameter = plain + parameter.removeprefix(inside)
        return parameter.removeprefix(outer)

    return named


def name_without_adapter(model: nn.Module) -> Callable[[str], str]:
    """Return a function that takes the adapter's name out of a parameter's: an adapter is the same by any name."""
    spans = tuple(f"{name}.{part}." for name, module in _tuners(model) for part in _parts(module))

    def named(parameter: str) -> str:
        span = next((one for one in spans if parameter.startswith(one)), None)
        return parameter if span is None else span + parameter.removeprefix(span).partition(".")[2]

    return named


def adapters_digest(model: nn.Module, uses: Uses, tensor_digest: Callable[[Tensor], bytes]) -> str:
    """Return the SHA-256 (hex) of the adapters in use: their weights, scales, and the modules they work at; not their
    names.
    """
    modules = dict(_tuners(model))
    parts: list[bytes] = []
    for use in uses:
        digest = hashlib.sha256(f"{use.module}|{use.scale}|{use.merged}".encode())
        for part, weight in _weights(modules[use.module], use.adapter):
            digest.update(part.encode() + tensor_digest(weight.detach()))
        parts.append(digest.digest())
    return hashlib.sha256(b"".join(sorted(parts))).hexdigest()


def _tuners(model: nn.Module) -> Iterator[tuple[str, Any]]:
    known = [
        getattr(sys.modules.get(module), name, None)  # a model with adapters can't exist before these are imported
        for module, name in (
            ("peft.tuners.tuners_utils", "BaseTunerLayer"),
            ("peft.utils.other", "AuxiliaryTrainingWrapper"),
        )
    ]
    kinds = tuple(kind for kind in known if isinstance(kind, type))
    if kinds:
        yield from ((name, module) for name, module in model.named_modules() if isinstance(module, kinds))


def _parts(module: Any) -> list[str]:
    """The attributes of a module that hold adapters by name."""
    names = (*module.adapter_layer_names, *module.other_param_names)
    return [name for name in dict.fromkeys(names) if isinstance(getattr(module, name, None), nn.Module)]


def _weights(module: Any, adapter: str) -> Iterator[tuple[str, Tensor]]:
    for part in _parts(module):
        held = getattr(module, part)
        if adapter in held:
            one = held[adapter]
            weights = one.named_parameters() if isinstance(one, nn.Module) else [("", one)]
            yield from ((f"{part}.{name}", weight) for name, weight in weights)
