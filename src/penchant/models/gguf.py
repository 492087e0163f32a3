"""GGUF files: de-quantised once into a cache directory, then loaded from there."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    modeling_gguf_pytorch_utils,
)

from penchant.errors import ModelError
from penchant.models.cache import discard, is_complete, models_directory, publish
from penchant.models.gguf_metadata import (
    ROPE_TENSORS,
    check_kind,
    complete,
    name_the_rest,
    read_factors,
    read_metadata,
    read_sampling,
)
from penchant.models.progress import bar, gguf_bar_into, no_bars
from penchant.models.replaced import replaced
from penchant.models.unused import check_complete, check_unread, unread
from penchant.models.vocabulary import drop_tokens_from

log = logging.getLogger(__name__)

Pair = tuple[PreTrainedModel, PreTrainedTokenizerBase]
FORMAT = 3
"""To be raised when a file is unpacked otherwise; the entries of earlier versions are then removed."""


@dataclass(frozen=True)
class GgufSource:
    """A GGUF file, whole or in parts that are joined in order."""

    name: str
    parts: tuple[Path, ...]

    @classmethod
    def of_file(cls, path: Path) -> GgufSource:
        """Raises `ModelError` when `path` isn't a GGUF file."""
        if not path.is_file():
            raise ModelError(f"no GGUF file {path}: check the path")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{path} is not a GGUF file: expected it to start with the letters GGUF")
        return cls(path.stem, (path.resolve(),))

    def key(self, version: int = FORMAT) -> str:
        """Return 16 hex digits that identify the content: sizes, the first MiB (all metadata), and 64 blocks of each
        part.
        """
        digest = hashlib.sha256(f"format {version}".encode())
        for part in self.parts:
            size = part.stat().st_size
            digest.update(str(size).encode())
            with part.open("rb") as file:
                digest.update(file.read(1 << 20))
                for i in range(64):
                    file.seek(size * i // 64)
                    digest.update(file.read(1 << 14))
                file.seek(max(0, size - (1 << 14)))
                digest.update(file.read())
        return digest.hexdigest()[:16]


def open_gguf(source: GgufSource, read: Callable[[Path], Pair], dtype: torch.dtype) -> Pair:
    """Load the model and tokenizer of a GGUF, in `dtype`, on the CPU.

    The first call de-quantises into `<cache>/<name>-<key>` (progress on stderr) and later ones `read` that directory.
    An incomplete or damaged entry is rebuilt, with a warning. If the cache can't be written (full disk, no permission),
    a warning is logged and the model returned all the same.

    Raises `ModelError` if the GGUF can't be read.
    """
    entry = models_directory() / f"{source.name}-{source.key()}"
    if entry.exists():
        fault = is_complete(entry)
        if fault is None:
            try:
                return read(entry)
            except ModelError as error:
                fault = str(error)
        log.warning("the cached model in %s is damaged (%s): rebuilding it", entry, fault)
        discard(entry)
    model, tokenizer = _dequantise(source)
    for version in range(1, FORMAT):
        discard(entry.with_name(f"{source.name}-{source.key(version)}"))
    try:
        publish(entry, lambda directory: _write(model, tokenizer, directory))
    except OSError as error:
        log.warning("can't keep the model in %s (%s): it will be de-quantised again next time", entry, error)
    return _cast(model, dtype), tokenizer


def _dequantise(source: GgufSource) -> Pair:
    """Return the model in float32, with values representable in float16, and its tokenizer. Takes seconds to a minute.

    Raises `ModelError` if the file can't be read, lacks weights, or holds something that can change the answers and
    that transformers doesn't read.
    """
    step = f"Preparing {source.name} (once)"
    name = source.parts[0].name
    with bar() as progress, contextlib.ExitStack() as stack:
        progress(step, 0, None)
        file = stack.enter_context(_joined(source))
        stack.enter_context(gguf_bar_into(progress, step))
        stack.enter_context(_read_once())
        where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
        unpack = GgufConfig(dequantize=True)
        try:
            reader = _reader(file)
            metadata = read_metadata(reader)
            check_kind(name, metadata)
            config = AutoConfig.from_pretrained(**where)
            complete(name, config, metadata, read_factors(reader))
            tokenizer = AutoTokenizer.from_pretrained(**where)
            with unread() as unexpected, _read_by_name() as read:
                made: Any = AutoModelForCausalLM.from_pretrained(
                    **where,
                    config=config,
                    dtype=torch.float32,
                    quantization_config=unpack,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,  # they are refused below, by name
                )
                loaded, info = made
        except ModelError:
            raise
        except Exception as error:  # on a damaged file the parsers may raise anything
            raise ModelError(f"can't read {name}: {first_line(error)}") from error
        check_complete(name, info)
        left = {tensor.name for tensor in reader.tensors} - read if read else unexpected.of(loaded)
        check_unread(name, left - set(ROPE_TENSORS), loaded.config, unexpected.of(loaded) - info["unexpected_keys"])
        name_the_rest(name, metadata)
        # The class that transformers builds a byte-level tokenizer with adds its own "<|endoftext|>".
        drop_tokens_from(tokenizer, metadata["tokenizer.ggml.tokens"])
        split_digits_like_smollm(tokenizer, metadata.get("tokenizer.ggml.pre"))
        model = plain_model(loaded)
        for setting, value in read_sampling(metadata).items():
            setattr(model.generation_config, setting, value)
        return model, tokenizer


@contextlib.contextmanager
def _read_by_name() -> Iterator[set[str]]:
    """Collect the tensors of a GGUF that transformers finds a place for. Stays empty for families that transformers
    reads as it reads other checkpoints, with a report.
    """
    names: set[str] = set()

    class Watching(dict[str, Any]):
        def get(self, architecture: str, default: Any = None) -> Any:
            class Watched(super().get(architecture, default)):  # type: ignore[misc]
                def process(self, weights: Any, name: str, **rest: Any) -> Any:
                    made = super().process(weights, name, **rest)
                    if made.name is None or made.name in rest["tensor_key_mapping"]:
                        names.add(name)
                    return made

            return Watched

    with replaced(
        modeling_gguf_pytorch_utils, "TENSOR_PROCESSORS", Watching(modeling_gguf_pytorch_utils.TENSOR_PROCESSORS)
    ):
        yield names


@contextlib.contextmanager
def _read_once() -> Iterator[None]:
    """Let the readers of a GGUF share one parse of its metadata: with a vocabulary of 262,144 tokens it takes half a
    minute, and transformers needs it for the tokenizer, the configuration and the weights.
    """

    class Reader(gguf.GGUFReader):
        def _build_fields(self, offs: int, count: int) -> int:
            self.data: Any = np.asarray(self.data)  # slices of a memmap cost three times as much as those of an array
            return super()._build_fields(offs, count)

    with replaced(gguf, "GGUFReader", functools.lru_cache(maxsize=1)(Reader)):
        yield


def plain_model(loaded: PreTrainedModel) -> PreTrainedModel:
    """Return a model of the same class without traces of the GGUF, with which transformers refuses to save it."""
    facts = loaded.config.to_dict()
    facts.pop("quantization_config", None)
    facts.pop("_name_or_path", None)
    config = type(loaded.config)(**facts)
    with torch.device("meta"):
        model: PreTrainedModel = type(loaded)(config)
    # Buffers that no checkpoint holds (rotary frequencies) come from the loaded model, or they would stay on "meta".
    for name, buffer in loaded.named_buffers():
        owner, _, leaf = name.rpartition(".")
        model.get_submodule(owner).register_buffer(leaf, buffer.clone(), persistent=False)
    state = {name: compact(tensor).float() for name, tensor in loaded.state_dict().items()}
    model.load_state_dict(state, strict=True, assign=True)
    model.tie_weights()
    if loaded.generation_config is not None:
        model.generation_config = loaded.generation_config
    model.train(False)
    return model


def compact(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float16 if nothing overflows (relative error 2^-11, far below a 4-bit step), else
    unchanged.
    """
    low, high = torch.aminmax(tensor)
    limit = torch.finfo(torch.float16).max
    return tensor.to(torch.float16) if -limit <= float(low) and float(high) <= limit else tensor


def _write(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    tokenizer.save_pretrained(directory)
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    state = {name: compact(tensor) for name, tensor in model.state_dict().items() if name not in tied}
    with no_bars():
        model.save_pretrained(directory, state_dict=state)


def _cast(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    for parameter in model.parameters():  # not model.to(dtype): that would round the rotary frequencies too
        parameter.data = parameter.data.to(dtype)
    model.config.dtype = dtype
    return model


def _reader(file: Path) -> gguf.GGUFReader:
    return gguf.GGUFReader(str(file))


def first_line(error: Exception) -> str:
    """Return the message of a library's exception, cut to one line."""
    if isinstance(error, KeyError):  # its message is the key alone
        return f"nothing is known as {error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])[:300]


def split_digits_like_smollm(tokenizer: PreTrainedTokenizerBase, pre: str | None) -> None:
    """Restore the digit rule of SmolLM tokenizers, in place: transformers doesn't know this rule of GGUF files.

    Without it, "  7" becomes one space and " 7", but the model was trained on two spaces and "7".
    """
    if pre == "smollm":
        backend: Any = tokenizer.backend_tokenizer
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


@contextlib.contextmanager
def _joined(source: GgufSource) -> Iterator[Path]:
    """Provide the GGUF as one file: itself, or its parts joined in a temporary directory."""
    if len(source.parts) == 1:
        yield source.parts[0]
        return
    with tempfile.TemporaryDirectory(prefix="penchant-") as directory:
        whole = Path(directory) / f"{source.name}.gguf"
        with whole.open("wb") as out:
            for part in source.parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, out, 1 << 20)
        yield whole
