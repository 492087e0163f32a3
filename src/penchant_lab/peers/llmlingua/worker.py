"""LLMLingua v1 and LongLLMLingua (PyPI llmlingua 0.2.2).

Two patches, without which it doesn't run offline and on transformers 5: the tokenizer that counts its budget is the
model's own (it would fetch tiktoken's from the network), and its list of (key, value) pairs is turned into the
library's cache and back at each call. Neither changes how much it computes.

Its first filter reads each passage by itself, so a history may be longer than the model's window; what passes it is at
most the budget, 100 tokens and one passage. It doesn't keep to the budget; what comes out is handed back as it is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

import tiktoken
import torch
from measuring import counting, forget_peak, resident, summary
from serving import serve, versions
from torch import nn
from transformers import AutoTokenizer, DynamicCache

#: As its README calls LongLLMLingua.
LONG: dict[str, Any] = {
    "rank_method": "longllmlingua",
    "condition_in_question": "after_condition",
    "reorder_context": "sort",
    "dynamic_context_compression_ratio": 0.3,
    "condition_compare": True,
    "context_budget": "+100",
}


class _OwnTokenizer:
    """Stands in for tiktoken's encoding."""

    def __init__(self, directory: str) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(directory)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


class _PairsForCaches(nn.Module):
    """Gives the peer the list of (key, value) pairs it was written for. Layers with a sliding window keep all of their
    keys, so that the peer can cut every layer at the same token; the mask hides what is out of the window."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.config = model.config

    def forward(self, *args: Any, past_key_values: Any = None, **kwargs: Any) -> Any:
        cache = DynamicCache([(key, value) for key, value in past_key_values or ()])
        out = self.model(*args, past_key_values=cache, **kwargs)
        if out.past_key_values is not None:
            out.past_key_values = [(layer.keys, layer.values) for layer in out.past_key_values.layers]
        return out


class Worker:
    def __init__(self) -> None:
        self.compressor: Any = None
        self.made_of: tuple[str, str] | None = None

    def load(self, model: str, dtype: str, threads: int) -> dict[str, Any]:
        torch.set_num_threads(threads)
        if self.made_of != (model, dtype):
            tiktoken.encoding_for_model = lambda name: _OwnTokenizer(model)
            from llmlingua import PromptCompressor

            compressor = PromptCompressor(model, device_map="cpu", model_config={"torch_dtype": getattr(torch, dtype)})
            compressor.model = _PairsForCaches(compressor.model.train(False).requires_grad_(False))
            self.compressor, self.made_of = compressor, (model, dtype)
        return {"versions": versions("llmlingua", "transformers", "torch"), "dtype": self._dtype()}

    def compress(
        self, passages: list[str], question: str, budget: int, task: str = "", long: bool = False
    ) -> dict[str, Any]:
        """What it makes of the passages; the question (a task before it, as in the prompt) is not in the text."""
        asked = f"{task}\n\n{question}" if task else question
        with counting(self.compressor.model.model) as fed:
            began = time.perf_counter()
            result = self.compressor.compress_prompt(
                passages, question=asked, target_token=budget, concate_question=False, **(LONG if long else {})
            )
            seconds = time.perf_counter() - began
        self.compressor.context_idxs.clear()  # it keeps the ranks of every call
        return {"text": result["compressed_prompt"], "tokens_fed": fed.tokens, "seconds": seconds}

    def time(
        self,
        *,
        model: str,
        dtype: str,
        threads: int,
        passages: list[str],
        request: str,
        history_tokens: int,
        ratio: int,
        long: bool,
        runs: int,
        keep_text: bool = False,
    ) -> dict[str, Any]:
        """Seconds, tokens fed and the memory above the weights of `runs` compressions to a `ratio`-th."""
        self.load(model, dtype, threads)
        self.compress(passages[:3], request, 20)
        target = history_tokens // ratio
        before = resident()
        forget_peak()
        seconds = []
        for _ in range(runs):
            with counting(self.compressor.model.model) as fed:
                result = self.compress(passages, request, target, long=long)
            seconds.append(result["seconds"])
        got = len(self.compressor.oai_tokenizer.encode(result["text"]))
        return {
            **summary(seconds),
            "tokens_fed": fed.tokens,
            "calls": fed.calls,
            "dtype": self._dtype(),
            "tokens_asked": target,
            "tokens_got": got,
            "ratio_asked": ratio,
            "ratio_got": history_tokens / max(1, got),
            "peak_above_weights": resident("VmHWM") - before,
            "compressed": result["text"][:400] if keep_text else None,
        }

    def _dtype(self) -> str:
        return str(next(self.compressor.model.parameters()).dtype).removeprefix("torch.")


if __name__ == "__main__":
    worker = Worker()
    serve({"load": worker.load, "compress": worker.compress, "time": worker.time})
