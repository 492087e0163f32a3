"""Part C: the speed of encoding histories, and its share of the machine's matrix throughput."""

from __future__ import annotations

from typing import Any

from torch import nn

from penchant.index.attention import AttentionIndex
from penchant.index.encode import Encoder
from penchant.index.table import Storage
from penchant.models.anatomy import decoder_layers
from penchant.models.loading import LoadedModel
from penchant_lab.speed.config import Save, SpeedConfig, resources
from penchant_lab.speed.histories import all_samples, count_tokens
from penchant_lab.speed.measure import counting, repeated, summary
from penchant_lab.speed.throughput import matrix_throughput

AIM = 0.6
STORAGES: tuple[Storage, ...] = ("native", "int8")


def measure(config: SpeedConfig, save: Save) -> None:
    """Save tokens per second, the share of the matrix throughput, and bytes a token."""
    loaded = config.load()
    history = all_samples()
    encoder = resources(loaded, config.calibration).indexes.encoder
    lengths = count_tokens(loaded, list(history))
    weights = [module for layer in decoder_layers(loaded.model)[:1] for module in layer.modules()]
    shapes = [(module.out_features, module.in_features) for module in weights if isinstance(module, nn.Linear)]
    config.say("matrix throughput")
    machine = matrix_throughput(shapes, loaded.dtype)
    needed = flops_per_token(loaded, encoder, lengths)
    result: dict[str, Any] = {"records": len(history), "tokens": sum(lengths), "machine": machine, "aim": AIM}
    result["flops_per_token"] = needed
    for storage in STORAGES:
        config.say(f"ingestion, {sum(lengths)} tokens, {storage}")
        indexes: list[AttentionIndex] = []

        def ingest(number: int, storage: Storage = storage, indexes: list[AttentionIndex] = indexes) -> None:
            indexes.append(AttentionIndex(encoder, storage=storage))
            indexes[-1].sync(history)

        if not config.quick:
            ingest(0)
        with counting(loaded.model) as fed:
            seconds = repeated(ingest, 1 if config.quick else 3)
        row = summary(seconds)
        rate = sum(lengths) / row["seconds"]
        result[storage] = {
            **row,
            "tokens_per_second": rate,
            "gflops": rate * needed["total"] / 1e9,
            "share_of_machine": rate * needed["total"] / 1e9 / machine["gflops"],
            "tokens_fed_per_token": fed.tokens / len(seconds) / sum(lengths),
            "index_bytes": indexes[-1].nbytes,
            "index_bytes_per_token": indexes[-1].nbytes / indexes[-1].tokens,
        }
    save(result)


def flops_per_token(loaded: LoadedModel, encoder: Encoder, lengths: list[int]) -> dict[str, float]:
    """Count the products that the stored keys need: every matrix of the layers before the last one that is read, the
    key matrix of that one, and causal attention within a record. Padding, prefix, norms and softmax don't count.
    """
    layers = decoder_layers(loaded.model)
    last = max(layer for layer, _ in encoder.pairs)
    matrices = sum(p.numel() for layer in layers[:last] for p in layer.parameters() if p.dim() == 2)
    keys = loaded.hidden_size * loaded.num_kv_heads * loaded.head_dim
    seen = sum(n * (n + 1) / 2 for n in lengths) / sum(lengths)
    attention = 4 * loaded.num_heads * loaded.head_dim * seen * last
    return {
        "matrices": float(2 * (matrices + keys)),
        "attention": attention,
        "total": 2 * (matrices + keys) + attention,
        "layers": float(last + 1),
    }
