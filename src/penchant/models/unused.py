"""What of a checkpoint a model has no place for: named where it can't change an answer, refused where it can."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

from penchant.errors import ModelError
from penchant.models.replaced import replaced

log = logging.getLogger(__name__)

BUFFERS = re.compile(r"(rotary_emb\.inv_freq|position_ids|\.(attn|attention)\.(masked_)?bias)$")
"""What older releases saved: recomputed from the configuration today."""
PARTS = {
    "other senses": re.compile(r"(^|[._])(vision|visual|image|audio|speech|multi_?modal|mm)([._]|$)|^v\."),
    "multi-token prediction": re.compile(r"(^|\.)(mtp|nextn)([._]|$)"),
    "other tasks": re.compile(r"^(score|classifier|classification_head|v_head|value_head|reward_head)\."),
}
"""Parts of a model that an answer in text doesn't pass through."""
EXTRA_LAYERS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")


@dataclass
class Unread:
    """The tensors of checkpoints that found no place in the models loaded from them."""

    _of_model: dict[int, set[str]] = field(default_factory=dict)

    def of(self, model: PreTrainedModel) -> set[str]:
        return self._of_model.get(id(model), set())


@contextmanager
def unread() -> Iterator[Unread]:
    """Record what models that are loaded in this context don't read. transformers drops what a family ignores from its
    report, and gives no other access.
    """
    seen = Unread()
    adjust = PreTrainedModel._adjust_missing_and_unexpected_keys

    def kept(model: PreTrainedModel, info: Any) -> None:
        seen._of_model[id(model)] = set(info.unexpected_keys)
        adjust(model, info)

    with replaced(PreTrainedModel, "_adjust_missing_and_unexpected_keys", kept):
        yield seen


def check_complete(source: str, info: Mapping[str, Any]) -> None:
    """Raise `ModelError` if a model lacks weights, or has some of another shape than its configuration says:
    transformers fills both with random numbers. info: its report of the loading.
    """
    missing, other = sorted(info["missing_keys"]), sorted(info["mismatched_keys"])
    if other:
        name, found, expected = other[0]
        raise ModelError(
            f"{source} has {len(other)} weights of another shape than its configuration says, first {name}: "
            f"{list(found)} instead of {list(expected)}"
        )
    if missing:
        raise ModelError(f"{source} lacks {len(missing)} weights, first {missing[0]}: expected a complete checkpoint")


def check_unread(source: str, names: Iterable[str], config: PretrainedConfig, ignored: Iterable[str] = ()) -> None:
    """Raise `ModelError` for tensors that a model has no place for and that can change its answers; log the others.

    ignored: those that the model's family ignores itself.
    """
    unknown, parts, ignored = [], dict[str, list[str]](), set(ignored)
    for name in sorted(names):
        if BUFFERS.search(name):
            continue
        part = next((part for part, pattern in PARTS.items() if pattern.search(name)), None)
        if part is None and _is_extra_layer(name, config):
            part = "multi-token prediction"
        if part is None and name in ignored:
            part = "no use to its family"
        if part is None:
            unknown.append(name)
        else:
            parts.setdefault(part, []).append(name)
    if unknown:
        raise ModelError(
            f"{source} has {len(unknown)} tensors that a {config.model_type} has no place for, first {unknown[0]}: "
            "its config.json or its weights are another model's"
        )
    for part, found in parts.items():
        log.info("%s: %d tensors not loaded (%s), first %s", source, len(found), part, found[0])


def _is_extra_layer(name: str, config: PretrainedConfig) -> bool:
    text = config.get_text_config()
    layer = re.search(r"(?:^|\.)(?:layers|blk)\.(\d+)\.", name)
    extra = next((int(count) for key in EXTRA_LAYERS if (count := getattr(text, key, None))), 0)
    layers = int(text.num_hidden_layers)
    return layer is not None and layers <= int(layer[1]) < layers + extra
