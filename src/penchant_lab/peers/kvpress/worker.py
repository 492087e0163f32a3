"""SnapKV, TOVA and Expected Attention (PyPI kvpress 0.5.5) on tokens that the caller made.

The scores and the cut are kvpress's own. What this adds:
- The scores of a pass are kept beside its whole cache, so that one pass serves every budget; the seconds of the pass
  are told each time it is used.
- A layer with a sliding window keeps its window, as kvpress has it for Gemma 3 with images; it doesn't know the text
  model, would cut those layers too, and would call their rotary embedding without saying which of the two it wants.
- The masks of what is read behind a cut cache are made here: transformers makes one for all layers from the length of
  the first, which is wrong where only some are cut.
"""

from __future__ import annotations

import copy
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

import torch
from kvpress import ExpectedAttentionPress, ScorerPress, SnapKVPress, TOVAPress
from serving import serve, versions
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

PRESSES = {"snapkv": SnapKVPress, "tova": TOVAPress, "expected-attention": ExpectedAttentionPress}
#: Bytes of whole caches that are kept for further budgets and requests.
KEPT = 1 << 30


class _Typed(nn.Module):
    """A rotary embedding that has one for each type of layer, asked for that of one type."""

    def __init__(self, rotary: nn.Module, kind: str) -> None:
        super().__init__()
        self.ask = lambda x, position_ids: rotary(x, position_ids, kind)

    def forward(self, x: Tensor, position_ids: Tensor) -> Any:
        return self.ask(x, position_ids)


@dataclass
class Scoring(ScorerPress):
    """Has `press` score every pair of a prefill, and cuts nothing."""

    press: Any = None
    scores: dict[int, Tensor] = field(default_factory=dict)

    def compress(self, module: Any, hidden_states: Any, keys: Any, values: Any, *others: Any) -> Any:
        if not others[-1]["past_key_values"].layers[module.layer_idx].is_sliding:
            kind = getattr(module, "layer_type", None)
            if kind is not None and hasattr(module.rotary_emb, f"{kind}_inv_freq"):
                rotary = module.rotary_emb
                del module.rotary_emb
                module.rotary_emb = _Typed(rotary, kind)
            self.scores[module.layer_idx] = self.press.score(module, hidden_states, keys, values, *others)
        return keys, values


@dataclass
class Scored(ScorerPress):
    """Gives scores that were made before, so that kvpress cuts by them."""

    given: Any = None

    def score(self, *args: Any, **kwargs: Any) -> Any:
        return self.given


@dataclass(frozen=True)
class Prefill:
    """A prefill: its whole cache, the scores of its layers and its seconds."""

    cache: DynamicCache
    scores: dict[int, Tensor]
    seconds: float


class Worker:
    def __init__(self) -> None:
        self.model: Any = None
        self.prefills: OrderedDict[Any, Prefill] = OrderedDict()

    def load(self, model: str, dtype: str, threads: int) -> dict[str, Any]:
        torch.set_num_threads(threads)
        self.prefills.clear()
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).train(False)
        self.model.requires_grad_(False)
        return {"versions": versions("kvpress", "transformers", "torch"), "dtype": str(self.model.dtype)[6:]}

    @torch.inference_mode()
    def read(
        self,
        *,
        context: list[int],
        after: list[int],
        continuations: list[list[int]],
        max_new_tokens: int,
        end: list[int],
        press: str,
        budget: int | None,
        window: int | None = None,
    ) -> dict[str, Any]:
        """The NLL of each continuation behind `after`, and what the model says there, from a cache of `context` that
        is cut to `budget` pairs in each layer and head (None: not cut). window: of the tokens SnapKV looks from."""
        made = self._prefill(context, press, window)
        began = time.perf_counter()
        cache = self._cut(made, budget, len(context))
        prepare = made.seconds + time.perf_counter() - began
        sizes = [layer.keys.shape[-2] for layer in cache.layers]
        stored = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))
        began = time.perf_counter()
        logits = self._step(after, cache, len(context))[-1]
        at = len(context) + len(after)
        nlls = [self._nll(tokens, logits, _branch(cache), at) for tokens in continuations]
        made_ids = self._generate(logits, _branch(cache), at, max_new_tokens, set(end))
        return {
            "nlls": nlls,
            "lengths": [len(tokens) for tokens in continuations],
            "ids": made_ids,
            "kept_pairs": sum(sizes) / len(sizes),
            "stored_bytes": stored,
            "tokens_prepared": len(context),
            "tokens_read": len(after) + sum(map(len, continuations)),
            "prepare_seconds": prepare,
            "read_seconds": time.perf_counter() - began,
        }

    def _prefill(self, context: list[int], press: str, window: int | None) -> Prefill:
        if press not in PRESSES:
            raise ValueError(f"no press {press!r}: expected one of {', '.join(PRESSES)}")
        key = (press, window, tuple(context))
        if key in self.prefills:
            self.prefills.move_to_end(key)
            return self.prefills[key]
        options = {"window_size": window} if press == "snapkv" and window is not None else {}
        scoring = Scoring(press=PRESSES[press](**options))
        cache = DynamicCache(config=self.model.config)
        began = time.perf_counter()
        with scoring(self.model):
            self.model.get_decoder()(input_ids=torch.tensor([context]), past_key_values=cache, use_cache=True)
        made = Prefill(cache, scoring.scores, time.perf_counter() - began)
        self.prefills[key] = made
        while len(self.prefills) > 1 and sum(_bytes(one.cache) for one in self.prefills.values()) > KEPT:
            self.prefills.popitem(last=False)
        return made

    def _cut(self, made: Prefill, budget: int | None, length: int) -> DynamicCache:
        cache = _branch(made.cache)
        if budget is None or budget >= length:
            return cache
        # kvpress keeps int(length x (1 - ratio)) pairs: the half makes that the budget whatever the rounding.
        ratio = 1 - (budget + 0.5) / length
        for number, scores in made.scores.items():
            layer = cache.layers[number]
            module = self.model.get_decoder().layers[number].self_attn
            cutting = Scored(compression_ratio=ratio, given=scores)
            layer.keys, layer.values = cutting.compress(module, None, layer.keys, layer.values, None, None)
        return cache

    def _step(self, ids: list[int], cache: DynamicCache, at: int) -> Tensor:
        """Feed tokens from position `at` on; float32 logits of each. The cache grows."""
        out = self.model(
            input_ids=torch.tensor([ids]),
            attention_mask=self._masks(cache, len(ids)),
            position_ids=torch.arange(at, at + len(ids))[None],
            past_key_values=cache,
            use_cache=True,
        )
        logits: Tensor = out.logits[0].float()
        return logits

    def _masks(self, cache: DynamicCache, new: int) -> Any:
        """Each new token sees what is left of the context and the new tokens up to itself, in its window."""
        masks = {}
        for layer in cache.layers:
            kind = "sliding_attention" if layer.is_sliding else "full_attention"
            if kind in masks:
                continue
            before = layer.keys.shape[-2]
            query = torch.arange(new)[:, None] + before
            key = torch.arange(before + new)[None]
            seen = key <= query
            if layer.is_sliding:
                seen &= key > query - layer.sliding_window
            masks[kind] = seen[None, None]
        if hasattr(self.model.config, "layer_types") and len(set(self.model.config.layer_types)) > 1:
            return masks
        (mask,) = masks.values()
        return mask

    def _nll(self, tokens: list[int], logits: Tensor, cache: DynamicCache, at: int) -> float:
        rows = logits[None]
        if len(tokens) > 1:
            rows = torch.cat([rows, self._step(tokens[:-1], cache, at)])
        return -float(rows.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None]).sum())

    def _generate(self, logits: Tensor, cache: DynamicCache, at: int, limit: int, end: set[int]) -> list[int]:
        made: list[int] = []
        while len(made) < limit:
            token = int(logits.argmax())
            if token in end:
                break
            made.append(token)
            if len(made) < limit:
                logits = self._step([token], cache, at + len(made) - 1)[-1]
        return made


def _branch(cache: DynamicCache) -> DynamicCache:
    """A cache that grows by itself; what is in it is shared, since no layer writes into what it has."""
    branch = copy.copy(cache)
    branch.layers = [copy.copy(layer) for layer in cache.layers]
    return branch


def _bytes(cache: DynamicCache) -> int:
    return sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))


if __name__ == "__main__":
    worker = Worker()
    serve({"load": worker.load, "read": worker.read})
