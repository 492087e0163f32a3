"""The joint forward pass over [history | request]: eager with every attention matrix (as published), or plain SDPA."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from penchant.models.progress import no_bars
from penchant_lab.speed.measure import counting, forget_peak, repeated, resident, summary
from penchant_lab.speed.processes import answering


def attention_bytes(layers: int, heads: int, tokens: int, dtype: torch.dtype) -> int:
    """What `output_attentions=True` keeps: a (tokens x tokens) matrix for every head of every layer."""
    return layers * heads * tokens**2 * dtype.itemsize


def work(payload: dict[str, Any]) -> dict[str, Any]:
    """payload: model (directory), dtype, ids, eager (bool), runs. The LM head isn't run in either way."""
    dtype = getattr(torch, payload["dtype"])
    implementation = "eager" if payload["eager"] else "sdpa"
    with no_bars():
        model = AutoModelForCausalLM.from_pretrained(payload["model"], dtype=dtype, attn_implementation=implementation)
    decoder = model.train(False).requires_grad_(False).get_decoder()
    ids = torch.tensor([payload["ids"]])

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        if not payload["eager"]:
            hidden: torch.Tensor = decoder(input_ids=inputs, use_cache=False).last_hidden_state
            return hidden
        # The marker's own computation (one layer, last row, mean over heads) is included, and costs nothing.
        attentions = decoder(input_ids=inputs, use_cache=False, output_attentions=True).attentions
        row: torch.Tensor = attentions[round(0.375 * len(attentions))][0, :, -1].mean(0)
        return row

    with torch.no_grad():
        forward(ids[:, :64])
        before = resident().now
        forget_peak()
        with counting(model) as fed:
            began = time.perf_counter()
            forward(ids)
            seconds = [time.perf_counter() - began]
        seconds += repeated(lambda _: forward(ids), payload["runs"] - 1)
    return {**summary(seconds), "tokens_fed": fed.tokens, "peak_above_weights": resident().peak - before}


if __name__ == "__main__":
    answering(work)
