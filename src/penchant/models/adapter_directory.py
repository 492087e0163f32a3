"""LoRA adapters: applied when they are named, never because they lie beside the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, modeling_utils
from transformers.models.auto import auto_factory
from transformers.utils.peft_utils import find_adapter_config_file

from penchant.errors import ModelError
from penchant.extras import require
from penchant.models.replaced import replaced

CONFIG = "adapter_config.json"


@contextmanager
def without_adapters() -> Iterator[None]:
    """Let transformers load models as if they had no adapter beside them: it would apply one if PEFT is installed, and
    not if it isn't.
    """

    def no_adapter(name: object, download: object = None, **given: Any) -> tuple[None, object, dict[str, Any]]:
        return None, name, {}

    with (
        replaced(auto_factory, "is_peft_available", lambda: False),
        replaced(modeling_utils, "maybe_load_adapters", no_adapter),
    ):
        yield


def check_adapter(path: Path) -> Path:
    """Return the directory of an adapter. Raises `ModelError` if there is none, `InputError` without PEFT."""
    if not (path / CONFIG).is_file():
        raise ModelError(f"no adapter in {path}: expected a directory with {CONFIG}, as PEFT writes it")
    require("peft", extra="adapters", why="An adapter")
    return path


def check_hub_adapter(name: str, revision: str | None, offline: bool) -> None:
    """Raise `ModelError` if a hub id has an adapter, beside weights or alone."""
    try:
        found = find_adapter_config_file(name, revision=revision, local_files_only=offline)
    except OSError:  # no such id, or no network: said when the model is loaded
        return
    if found is not None:
        raise ModelError(
            f"{name} has an adapter ({CONFIG}): download it, and pass its base model with adapter=DIRECTORY "
            "(in a command: --model BASE --adapter DIR)"
        )


def apply_adapter(model: PreTrainedModel, path: Path) -> None:
    """Apply an adapter to a model, in place; its weights stay apart from the model's. Raises `ModelError` if it doesn't
    fit.
    """
    try:
        info = model.load_adapter(str(path))
    except Exception as error:  # PEFT and the parsers below may raise anything
        raise ModelError(f"can't apply the adapter in {path}: {' '.join(str(error).split())[:300]}") from error
    for what, names in (("lacks weights for", info.missing_keys), ("has weights with no place", info.unexpected_keys)):
        if names:
            raise ModelError(
                f"the adapter in {path} {what} {min(names)} ({len(names)} in all): it was made for another model"
            )
