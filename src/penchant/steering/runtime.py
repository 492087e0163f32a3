"""Writes interventions into a model while it runs.

The contract:

1. Each row of a batch has its own vectors; a row without any is left alone. Beams: a batch of k times the
   intervention's rows holds k beams of each row, side by side, as `generate` lays them out.
2. Positions are counted in a row's own tokens, without padding: from the attention mask where there is one, else from
   the position ids, else from the cache's length. So they are right under left and right padding, with a KV cache,
   for beams and for a prompt that is prefilled in chunks.
3. Padding is never written to.
4. A zero vector, a row without vectors and a token out of scope are bitwise no-ops: what is added there is -0.0.
5. `after_prompt` leaves the prompt's keys and values as they were, bit for bit: cached prefixes stay valid.
6. No hook waits for the device; nothing is allocated but the result and its mask.
7. On exit everything is undone, exceptions included. Another thread's forward pass of the same model isn't touched
   (compiled models excepted: one thread at a time).
8. Hooks stay in place between interventions, and values change without recompiling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from penchant.errors import InputError
from penchant.models.sites import Site, site_module, site_width
from penchant.steering.intervention import Intervention, prompt_tail

Trace = Callable[[Site, Tensor], None]
"""Called with a site and which tokens were written to there: bool [batch, tokens]. For tests and inspection."""


@dataclass
class _State:
    add: dict[Site, Tensor] = field(default_factory=dict)
    scale: dict[Site, Tensor] = field(default_factory=dict)
    begin: Tensor | None = None  # [rows]: the first position that is written to
    mask: Tensor | None = None  # [batch, tokens, 1] of the forward pass that runs
    trace: Trace | None = None


_active: ContextVar[_State | None] = ContextVar("penchant_steering", default=None)


class Runtime:
    """Hooks of one model at fixed sites; does nothing until `steering`. `close` (or leaving `with`) removes them."""

    def __init__(self, model: PreTrainedModel, sites: Sequence[Site]) -> None:
        self.model, self.sites = model, tuple(sorted(set(sites)))
        self._state: _State | None = None
        decoder: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]
        found = [(site, site_module(model, site)) for site in self.sites]  # all of them, before any hook is placed
        self._handles = [decoder.register_forward_pre_hook(self._clock, with_kwargs=True)]
        for site, module in found:
            if site.kind == "heads":
                self._handles.append(module.register_forward_pre_hook(self._before(site)))
            else:
                self._handles.append(module.register_forward_hook(self._behind(site)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @contextmanager
    def steering(
        self, intervention: Intervention, prompt_lengths: Sequence[int], trace: Trace | None = None
    ) -> Iterator[None]:
        """Write `intervention` into every forward pass made in this context.

        prompt_lengths: tokens of each row's prompt, without padding. Raises `InputError` for a site without a hook,
        vectors of a wrong width, not finite, or a wrong number of prompts.
        """
        state = self._prepared(intervention, prompt_lengths)
        state.trace = trace
        before, token = self._state, _active.set(state)
        self._state = state
        try:
            yield
        finally:
            self._state = before
            _active.reset(token)

    def _prepared(self, intervention: Intervention, prompt_lengths: Sequence[int]) -> _State:
        rows = intervention.rows
        if len(prompt_lengths) != rows:
            raise InputError(f"{len(prompt_lengths)} prompt lengths for {rows} rows of vectors: expected one each")
        like = next(self.model.parameters())
        state = _State(begin=_begin(intervention.scope, prompt_lengths).to(like.device))
        for site, edit in intervention.edits.items():
            if site not in self.sites:
                raise InputError(f"no hook at {site}: this runtime was made for {', '.join(map(str, self.sites))}")
            for name, tensor, table in (("add", edit.add, state.add), ("scale", edit.scale, state.scale)):
                if tensor is None:
                    continue
                width = site_width(self.model, site.kind)
                if tensor.shape[1] != width or not bool(tensor.isfinite().all()):
                    raise InputError(
                        f"{name} at {site} has shape {list(tensor.shape)}: expected finite numbers, {width} a row"
                    )
                table[site] = tensor.to(like.device, like.dtype)[:, None]
            if site in state.add:
                # x + -0.0 is x for every x, -0.0 included; x + 0.0 isn't.
                state.add[site] = torch.where(state.add[site] == 0, -0.0, state.add[site])
        return state

    def _current(self) -> _State | None:
        return self._state if torch.compiler.is_compiling() else _active.get()

    def _clock(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        state = self._current()
        if state is not None:
            state.mask = _mask(state, args, kwargs)

    def _behind(self, site: Site) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            state = self._current()
            if state is None:
                return None
            if isinstance(output, tuple):
                return (_edited(state, site, output[0]), *output[1:])
            return _edited(state, site, output)

        return hook

    def _before(self, site: Site) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> Any:
            state = self._current()
            return None if state is None else (_edited(state, site, args[0]), *args[1:])

        return hook


@contextmanager
def steered(
    model: PreTrainedModel,
    intervention: Intervention | None,
    prompt_lengths: Sequence[int],
    trace: Trace | None = None,
) -> Iterator[None]:
    """`Runtime` and `steering` in one, for a single use; None: nothing is done. See `Runtime.steering`."""
    if intervention is None or not intervention.edits:
        yield
        return
    with Runtime(model, list(intervention.edits)) as runtime, runtime.steering(intervention, prompt_lengths, trace):
        yield


def _begin(scope: str, prompt_lengths: Sequence[int]) -> Tensor:
    tail = prompt_tail(scope)
    return torch.tensor([0 if tail is None else max(0, length - tail) for length in prompt_lengths])


def _mask(state: _State, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """bool [batch, tokens, 1]: which tokens of this forward pass are written to."""
    tokens = kwargs.get("input_ids")
    if tokens is None:
        tokens = args[0] if args else kwargs["inputs_embeds"]
    batch, new = tokens.shape[:2]
    attention, positions, cache = (kwargs.get(name) for name in ("attention_mask", "position_ids", "past_key_values"))
    begin = state.begin
    assert begin is not None  # what `_prepared` sets
    begin = begin.repeat_interleave(batch // begin.shape[0], output_size=batch)[:, None]
    if isinstance(attention, Tensor) and attention.dim() == 2:
        there = attention.bool()
        at = there.long().cumsum(1)[:, -new:] - 1
        return ((at >= begin) & there[:, -new:])[..., None]
    if positions is None:
        past = cache.get_seq_length() if cache is not None else 0
        positions = (torch.arange(new, device=begin.device) + past)[None]
    return (positions >= begin)[..., None]


def _edited(state: _State, site: Site, value: Tensor) -> Tensor:
    mask = state.mask
    assert mask is not None  # the decoder's own hook ran before
    add, scale = state.add.get(site), state.scale.get(site)
    beams = value.shape[0] // (add if add is not None else scale).shape[0]  # type: ignore[union-attr]
    if state.trace is not None:
        state.trace(site, mask[..., 0])
    if scale is not None:
        value = value * torch.where(mask, scale.repeat_interleave(beams, 0), 1.0)
    if add is not None:
        value = value + torch.where(mask, add.repeat_interleave(beams, 0), -0.0)
    return value
