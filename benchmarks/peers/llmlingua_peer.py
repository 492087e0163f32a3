"""LLMLingua v1 and LongLLMLingua (PyPI llmlingua 0.2.2) on the same model, the same torch and transformers.

Two patches, without which it doesn't run offline and on transformers 5: the tokenizer that counts its budget is the
model's own (it would fetch tiktoken's from the network), and its list of (key, value) pairs is turned into the
library's cache and back at each call. Neither changes how much it computes.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, DynamicCache

from benchmarks.measure import ROOT, answering, counting, forget_peak, resident, summary

TARGET = ROOT / ".cache" / "peers"
#: As its README calls LongLLMLingua.
LONG: dict[str, Any] = {
    "rank_method": "longllmlingua",
    "condition_in_question": "after_condition",
    "reorder_context": "sort",
    "dynamic_context_compression_ratio": 0.3,
    "condition_compare": True,
    "context_budget": "+100",
}


def installed() -> bool:
    """Whether peers/setup.sh has been run."""
    return (TARGET / "llmlingua").is_dir()


class _OwnTokenizer:
    """Stands in for tiktoken's encoding."""

    def __init__(self, directory: str) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(directory)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


class _PairsForCaches(nn.Module):
    """Gives the peer the list of (key, value) pairs it was written for."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.config = model.config

    def forward(self, *args: Any, past_key_values: Any = None, **kwargs: Any) -> Any:
        if past_key_values is not None:
            past_key_values = DynamicCache([(key, value) for key, value in past_key_values])
        out = self.model(*args, past_key_values=past_key_values, **kwargs)
        if out.past_key_values is not None:
            out.past_key_values = [(layer.keys, layer.values) for layer in out.past_key_values.layers]
        return out


def make_compressor(directory: str, dtype: torch.dtype) -> Any:
    """Its `PromptCompressor` on a model directory, patched as described above."""
    sys.path.append(str(TARGET))
    import tiktoken  # type: ignore[import-not-found]

    tiktoken.encoding_for_model = lambda name: _OwnTokenizer(directory)
    from llmlingua import PromptCompressor  # type: ignore[import-not-found]

    compressor = PromptCompressor(directory, device_map="cpu", model_config={"torch_dtype": dtype})
    compressor.model = _PairsForCaches(compressor.model.train(False).requires_grad_(False))
    return compressor


def work(payload: dict[str, Any]) -> dict[str, Any]:
    """payload: model (directory), dtype, passages, request, history_tokens, ratio, long (bool), runs."""
    dtype = getattr(torch, payload["dtype"])
    with contextlib.redirect_stdout(sys.stderr):
        compressor = make_compressor(payload["model"], dtype)
        inner = compressor.model.model
        compressor.compress_prompt(payload["passages"][:3], question=payload["request"], target_token=20)
        target = payload["history_tokens"] // payload["ratio"]
        before = resident().now
        forget_peak()
        seconds = []
        for _ in range(payload["runs"]):
            with counting(inner) as fed:
                began = time.perf_counter()
                result = compressor.compress_prompt(
                    payload["passages"],
                    question=payload["request"],
                    target_token=target,
                    **(LONG if payload["long"] else {}),
                )
                seconds.append(time.perf_counter() - began)
    got = len(compressor.oai_tokenizer.encode(result["compressed_prompt"]))
    # It hands the question back behind the passages; what it made of the history is the rest.
    question = len(compressor.oai_tokenizer.encode(payload["request"]))
    return {
        **summary(seconds),
        "tokens_fed": fed.tokens,
        "calls": fed.calls,
        "dtype": str(next(inner.parameters()).dtype).removeprefix("torch."),
        "tokens_asked": target,
        "tokens_got": got - question,
        "ratio_asked": payload["ratio"],
        "ratio_got": payload["history_tokens"] / max(1, got - question),
        "peak_above_weights": resident().peak - before,
        "compressed": result["compressed_prompt"][:400] if payload.get("keep_text") else None,
    }


if __name__ == "__main__":
    if not Path(TARGET).is_dir():
        raise SystemExit("LLMLingua isn't there: run benchmarks/peers/setup.sh first")
    answering(work)
