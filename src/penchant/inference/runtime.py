"""The runtime: applies interventions to a model while it runs.

The contract:

1. Each row of a batch has its own vectors; a row without vectors is unchanged. Beams: a batch of k times the
   intervention's rows holds k adjacent beams of each row, as `generate` lays them out; so an intervention of one row
   applies to the whole batch.
2. Positions count a row's own tokens, without padding: by the attention mask if there is one, else by the position ids,
   else by the length of the cache. So they are right under left and right padding, with a KV cache, for beams and for
   prompts prefilled in chunks. Cached tokens count.
3. Padding is never written to.
4. A zero vector, a row without vectors and a token out of scope are bitwise no-ops: what is added there is -0.0.
5. `after_prompt` leaves the prompt's keys and values bitwise unchanged: cached prefixes stay valid.
6. No hook synchronises with the device; only the result and the addend are allocated.
7. On exit everything is undone, also after exceptions, and for tasks and threads that were started inside. Other
   threads' forward passes of the same model aren't affected (except compiled models: one thread at a time).
8. Hooks stay in place between interventions, and values change without recompiling.
9. One intervention at a time: inside another's context, the inner one replaces it until it ends, `None` included. Two
   interventions are never added up.
10. Gradients reach the vectors, including zero vectors.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from penchant.errors import InputError, ModelError
from penchant.inference.intervention import Edit, Intervention, prompt_tail
from penchant.inference.positions import TokenPositions
from penchant.inference.sites import Site, site_module, site_width
from penchant.inference.writing import check_rows, slot_of, spread
from penchant.models.anatomy import decoder_of

Trace = Callable[[Site, Tensor], None]
"""Called with a site and the tokens that were edited there: bool [batch, tokens]. For tests and inspection."""


@dataclass(frozen=True, eq=False)
class _Table:
    """One edit on the model's device, in its dtype. neutral: the value that leaves a token unchanged, [1, 1, 1]; a
    tensor, since a number would be copied to the device in every pass.
    """

    values: Tensor  # [rows, 1, width], or [1, 1, width] for all rows
    neutral: Tensor
    written: Tensor  # bool [rows, 1]: rows with any number that isn't neutral


@dataclass(eq=False)
class _State:
    """The state of one `steering` context. first: the earliest position edited in any row. dtype: of the edit; None:
    that of the activations. masks: of the current pass, by thread; None: none of its tokens is in scope.
    """

    runtime: Runtime
    begin: Tensor  # [rows, 1]: the first position that is edited
    first: int
    dtype: torch.dtype | None = None
    add: dict[Site, _Table] = field(default_factory=dict)
    scale: dict[Site, _Table] = field(default_factory=dict)
    trace: Trace | None = None
    masks: dict[int, Tensor | None] = field(default_factory=dict)
    spread: dict[tuple[int, int], Tensor] = field(default_factory=dict)


class Runtime:
    """The hooks of one model at fixed sites; they do nothing until `steering`. `close` (or leaving `with`) removes
    them.
    """

    def __init__(self, model: PreTrainedModel, sites: Sequence[Site]) -> None:
        self.model, self.sites = model, tuple(sorted(set(sites)))
        decoder = decoder_of(model)
        self._slot = slot_of(decoder, "activations")
        self._names = tuple(inspect.signature(decoder.forward).parameters)
        self._modules = {site: site_module(model, site) for site in self.sites}  # all, before any hook is placed
        self._handles = [
            decoder.register_forward_pre_hook(self._clock, with_kwargs=True),
            decoder.register_forward_hook(self._stop),
        ]
        for site, module in self._modules.items():
            if site.kind == "heads":
                self._handles.append(module.register_forward_pre_hook(self._before(site)))
            else:
                self._handles.append(module.register_forward_hook(self._behind(site)))

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @contextmanager
    def steering(
        self,
        intervention: Intervention,
        prompt_lengths: Sequence[int],
        trace: Trace | None = None,
        dtype: torch.dtype | None = None,
    ) -> Iterator[None]:
        """Apply `intervention` to every forward pass in this context.

        prompt_lengths: tokens in each row's prompt, without padding, cached ones included. dtype: the format in which
        vectors are kept and added, before the result is rounded (None: the model's); float32 for vectors being trained.

        Raises `InputError` for a site without a hook, vectors of a wrong width or not finite in the dtype, or a wrong
        number of prompts; and in the context, for a batch that isn't a multiple of the rows.

        If a generator yields inside this context, its caller is steered meanwhile.
        """
        state = self._prepared(intervention, prompt_lengths, dtype)
        if state is not None:
            state.trace = trace
        with self._slot.set(state):
            yield

    def _prepared(
        self, intervention: Intervention, prompt_lengths: Sequence[int], dtype: torch.dtype | None
    ) -> _State | None:
        if not self._handles:
            raise InputError("this runtime was closed: expected an open one; make another")
        rows = intervention.rows
        if not rows:
            return None
        if len(prompt_lengths) != rows or min(prompt_lengths) < 0:
            raise InputError(
                f"prompt lengths {list(prompt_lengths)} for {rows} rows of vectors: expected one each, 0 or more"
            )
        tail = prompt_tail(intervention.scope)
        begin = [0 if tail is None else length - tail for length in prompt_lengths]
        state = _State(self, torch.tensor(begin, device=self.model.device)[:, None], min(begin), dtype)
        for site, edit in intervention.edits.items():
            if site not in self.sites:
                raise InputError(f"no hook at {site}: this runtime was made for {', '.join(map(str, self.sites))}")
            self._prepare(state, site, edit)
        return state

    def _prepare(self, state: _State, site: Site, edit: Edit) -> None:
        dtype = state.dtype or self.model.dtype
        width = site_width(self.model, site.kind, site.layer)
        device = next((p.device for p in self._modules[site].parameters() if p.device.type != "meta"), None)
        for name, tensor, tables in (("add", edit.add, state.add), ("scale", edit.scale, state.scale)):
            if tensor is None:
                continue
            values = tensor.to(device or self.model.device, dtype, copy=True)
            if name == "add":
                # Every zero becomes -0.0, because x + -0.0 is x for every x, but -0.0 + 0.0 isn't -0.0. Not by `where`,
                # which would block gradients.
                values = -(0.0 - values)
            if values.shape[1] != width or not bool(values.isfinite().all()):
                raise InputError(
                    f"{name} at {site} has shape {list(tensor.shape)}: expected numbers that are finite in "
                    f"{dtype}, {width} a row"
                )
            neutral = values.new_full((1, 1, 1), -0.0 if name == "add" else 1.0)
            tables[site] = _Table(values[:, None], neutral, (values != neutral[0]).any(1, keepdim=True))

    def _current(self) -> _State | None:
        state = self._slot.current()
        return state if isinstance(state, _State) and state.runtime is self else None

    def _clock(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        # PyTorch omits the keywords for a pass in one thread while another thread places or removes this hook. Such a
        # pass isn't steered by this runtime.
        state = self._current()
        if state is not None and kwargs is not None:
            state.masks[_thread()] = _mask(state, {**dict(zip(self._names, args, strict=False)), **kwargs})

    def _stop(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        state = self._current()
        if state is not None:
            state.masks.pop(_thread(), None)

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
    dtype: torch.dtype | None = None,
) -> Iterator[None]:
    """`Runtime` and `steering` in one, for a single use; None: no intervention. See `Runtime.steering`."""
    if intervention is None or not intervention.rows:
        with slot_of(decoder_of(model), "activations").set(None):
            yield
        return
    with (
        Runtime(model, list(intervention.edits)) as runtime,
        runtime.steering(intervention, prompt_lengths, trace, dtype),
    ):
        yield


def _thread() -> int:
    return 0 if torch.compiler.is_compiling() else threading.get_ident()


def _mask(state: _State, given: Mapping[str, Any]) -> Tensor | None:
    """Return bool [batch or 1, tokens, 1]: the tokens of this forward pass that are edited; None: certainly none."""
    tokens = TokenPositions.of(given)
    if not torch.compiler.is_compiling() and tokens.end is not None and tokens.end <= state.first:
        return None
    check_rows(tokens.batch, state.begin.shape[0])
    return tokens.reached(_spread(state, state.begin, tokens.batch))[..., None]


def _spread(state: _State, table: Tensor, batch: int) -> Tensor:
    """`spread`, cached: it is needed at every site of every pass."""
    if table.shape[0] in (1, batch) or torch.compiler.is_compiling():
        return spread(table, batch)
    key = (id(table), batch)
    if key not in state.spread:
        state.spread[key] = spread(table, batch)
    return state.spread[key]


def _edited(state: _State, site: Site, value: Tensor) -> Tensor:
    add, scale = state.add.get(site), state.scale.get(site)
    if add is None and scale is None:
        return value
    if _thread() not in state.masks:
        raise ModelError(f"{site} ran outside of the decoder's forward pass: expected whole passes while steering")
    mask, shape = state.masks[_thread()], value.shape
    if mask is not None:
        if value.dim() == 2 and shape[0] % mask.shape[1] == 0:  # experts of some families see one row of all tokens
            value = value.reshape(-1, mask.shape[1], shape[1])
        # Layers that share the keys of others run for the tokens only whose logits are asked for (Gemma 4).
        mask = mask[:, -value.shape[1] :] if value.dim() == 3 else mask
    if state.trace is not None:
        state.trace(site, _written(state, mask, value, [table for table in (add, scale) if table is not None]))
    if mask is None:
        return value.reshape(shape)
    if value.dim() != 3 or value.shape[1] != mask.shape[1]:
        raise ModelError(
            f"{site} gives {list(value.shape)} in a pass of {mask.shape[1]} tokens: expected [batch, tokens, width]"
        )
    mask, dtype = mask.to(value.device), value.dtype
    value = value if state.dtype is None else value.to(state.dtype)
    if scale is not None:
        value = value * _chosen(state, scale, mask, value)
    if add is not None:
        value = value + _chosen(state, add, mask, value)
    return value.to(dtype).reshape(shape)


def _chosen(state: _State, table: _Table, mask: Tensor, value: Tensor) -> Tensor:
    values = _spread(state, table.values, value.shape[0])
    return torch.where(mask, values, table.neutral).to(value.dtype)


def _written(state: _State, mask: Tensor | None, value: Tensor, tables: list[_Table]) -> Tensor:
    if mask is None:
        return torch.zeros(value.shape[:2], dtype=torch.bool, device=value.device)
    rows = [_spread(state, table.written, value.shape[0]) for table in tables]
    return (mask[..., 0].to(value.device) & torch.stack(rows).any(0)).expand(value.shape[:2])
