"""What the tests of emphasis share: tiny models, and rows with different emphases."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from penchant.steering.methods.attention_bias import AttentionBias, Heads
from tests.families import tiny_network

ROWS = (AttentionBias(((3, 6), (8, 10)), (1.5, 0.7), 12), AttentionBias(((0, 5),), (-1.0,)), None)
"""Two spans seen from token 12 on, one seen from its end (5) on, and a row that is left alone."""
HEADS: Heads = {1: [1], 2: None, 3: [0, 3]}
LENGTH = 20


def network(family: str, **options: Any) -> PreTrainedModel:
    model = tiny_network(family, **options).eval()
    model.set_attn_implementation("sdpa")
    return model


@torch.no_grad()
def logits(model: PreTrainedModel, ids: Tensor, **options: Any) -> Tensor:
    return model(ids, **options).logits  # type: ignore[no-any-return]
