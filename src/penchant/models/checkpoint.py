"""Model directories: what lies in them is checked before and after transformers reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from penchant.errors import ModelError
from penchant.models.adapter_directory import CONFIG
from penchant.models.embedded import EMBEDDED

WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*.index.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
GENERATION = "generation_config.json"
FLOATS = {"F64", "F32", "F16", "BF16"}


def check_directory(path: Path, adapter: Path | None = None) -> None:
    """Raise `ModelError` if a model directory doesn't exist, lacks its config, weights or tokenizer, or can be read in
    two ways: with the adapter that lies in it, or without.
    """
    if not path.is_dir():
        known = ", ".join(EMBEDDED)
        what = "is a file" if path.exists() else "does not exist"
        raise ModelError(f"{path} {what}: expected a model directory, a .gguf file, one of {known}, or a hub id")
    if (path / CONFIG).is_file() and adapter is None:
        base = _json(path / CONFIG).get("base_model_name_or_path")
        if not (path / "config.json").is_file():
            raise ModelError(
                f"{path} is an adapter of {base or 'another model'}, not a model: load that one, with adapter={path} "
                "(in a command: --model BASE --adapter DIR)"
            )
        raise ModelError(
            f"{path} has an adapter beside its weights ({CONFIG}): pass adapter={path} (in a command: --adapter DIR) "
            f"to apply it, or move {CONFIG} away"
        )
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} has no config.json: expected a model directory as save_pretrained writes it")
    if not any(weights(path)):
        raise ModelError(f"{path} has no weights: expected model.safetensors (or a sharded set) beside config.json")
    if not any((path / name).is_file() for name in TOKENIZERS):
        raise ModelError(f"{path} has no tokenizer: expected tokenizer.json beside config.json")
    check_index(path)
    check_settings(path)


def weights(path: Path) -> list[Path]:
    """Return the files of a model's weights, without an adapter's."""
    found = {file for pattern in WEIGHTS for file in path.glob(pattern)}
    return sorted(file for file in found if not file.name.startswith("adapter_"))


def check_index(path: Path) -> None:
    """Raise `ModelError` if an index of weights names a file that isn't there."""
    for index in path.glob("*.index.json"):
        named = _json(index).get("weight_map", {})
        missing = sorted({file for file in named.values() if not (path / file).is_file()})
        if missing:
            raise ModelError(
                f"{path} lacks {len(missing)} of the files that {index.name} names, first {missing[0]}: get them anew"
            )


def check_settings(path: Path) -> None:
    """Raise `ModelError` if the config says that the weights are quantised and they aren't (what transformers then does
    depends on the method and on what is installed), for a number format that doesn't exist, and for generation settings
    that can't be read (transformers would use its own without a word).
    """
    config = _json(path / "config.json")
    for key in ("dtype", "torch_dtype"):
        named = config.get(key)
        if isinstance(named, str) and not isinstance(getattr(torch, named.removeprefix("torch."), None), torch.dtype):
            raise ModelError(f"{path}/config.json has {key} {named!r}: expected the name of a dtype, such as float32")
    if (path / GENERATION).is_file():
        _json(path / GENERATION)
    said = config.get("quantization_config") or config.get("text_config", {}).get("quantization_config")
    if not said:
        return
    formats = set(_formats(path.glob("*.safetensors")))
    if formats and formats <= FLOATS:
        method = said.get("quant_method", "unknown")
        raise ModelError(
            f"{path}/config.json says that the weights are quantised (quant_method {method}), and they are plain: "
            "remove quantization_config from it, or get the quantised weights"
        )


def _formats(files: Iterable[Path]) -> Iterable[str]:
    """Yield the formats of the numbers of each tensor, as safetensors names them."""
    for file in files:
        try:
            with safe_open(file, framework="pt") as content:
                yield from (content.get_slice(name).get_dtype() for name in content.keys())  # noqa: SIM118 (no dict)
        except (SafetensorError, OSError):
            return  # said when it is loaded


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"can't read the model in {path.parent}: {path.name} is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"can't read the model in {path.parent}: {path.name} holds no object")
    return content
