"""A GGUF file is de-quantised once, kept, and read back."""

import logging
from pathlib import Path
from typing import Literal

import pytest
import torch
from gguf import GGUFReader

from penchant.errors import ModelError
from penchant.models import gguf, loading
from penchant.models.cache import models_directory
from penchant.models.chat import render_chat
from penchant.models.gguf import GgufSource, compact
from penchant.models.loading import load_model
from tests.tiny_gguf import write_tiny_gguf


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_tiny_gguf(path)
    return path


def forbid_dequantising(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("de-quantised again")

    monkeypatch.setattr(gguf, "_dequantise", refuse)


def entries() -> list[Path]:
    return sorted(models_directory().iterdir())


def test_same_model_as_written_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.gguf"
    written = write_tiny_gguf(file)
    first = load_model(file, dtype="float32")
    ids = torch.tensor([first.tokenizer("I am allergic to peanuts.")["input_ids"]])
    torch.testing.assert_close(first.model(ids).logits, written(ids).logits, rtol=0.02, atol=0.05)
    for parameter in written.parameters():
        parameter.data = parameter.data.half().float()
    torch.testing.assert_close(first.model(ids).logits, written(ids).logits, rtol=1e-5, atol=1e-5)
    assert first.name == "mine"
    assert (first.num_layers, first.num_heads, first.num_kv_heads, first.window) == (2, 4, 2, 512)
    assert first.model.config._attn_implementation == "sdpa"
    assert not hasattr(first.model.config, "quantization_config")

    forbid_dequantising(monkeypatch)
    second = load_model(str(file), dtype="float32")
    assert torch.equal(second.model(ids).logits, first.model(ids).logits)
    assert second.fingerprint == first.fingerprint == load_model(file, dtype="bfloat16").fingerprint
    assert second.model.config.tie_word_embeddings
    assert second.model.get_output_embeddings().weight is second.model.get_input_embeddings().weight
    assert second.model.config.rope_parameters == written.config.rope_parameters
    assert second.tokenizer.eos_token == "<|end|>"
    message = [{"role": "user", "content": "Hi 🙂"}]
    assert render_chat(second, message) == "<|user|>Hi 🙂<|turn_end|><|assistant|>"
    for tokenizer in (first.tokenizer, second.tokenizer):  # the rule named "smollm" in the file
        cut = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  7b")
        assert [piece for piece, _ in cut] == ["a", "ĠĠ", "7", "b"]
    for tokens in (second.tokenizer("<|user|>a  7b")["input_ids"], first.tokenizer("<|user|>a  7b")["input_ids"]):
        assert second.tokenizer.convert_ids_to_tokens(tokens) == ["<|user|>", "a", "Ġ", "Ġ", "7", "b"]


def test_the_metadata_is_parsed_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []
    parse = GGUFReader.__init__

    def counted(self: GGUFReader, path: str, mode: Literal["r", "r+", "c"] = "r") -> None:
        parsed.append(path)
        parse(self, path, mode)

    monkeypatch.setattr(GGUFReader, "__init__", counted)
    load_model(file)
    assert len(parsed) == 1


def test_first_load_in_a_low_dtype_equals_a_later_one(file: Path) -> None:
    first, second = load_model(file, dtype="bfloat16"), load_model(file, dtype="bfloat16")
    ids = torch.tensor([[7, 8, 9, 10]])
    assert first.dtype == second.dtype == torch.bfloat16
    assert torch.equal(first.model(ids).logits, second.model(ids).logits)
    assert first.model.config.dtype == second.model.config.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "penchant.json"])
def test_a_damaged_entry_is_rebuilt_and_said_so(file: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    first = load_model(file, dtype="float32")
    (entry,) = entries()
    content = bytearray((entry / name).read_bytes())
    content[len(content) // 2] ^= 1
    (entry / name).write_bytes(content[:-1])
    with caplog.at_level(logging.WARNING):
        again = load_model(file, dtype="float32")
    assert "is damaged" in caplog.text and name in caplog.text and "rebuilding" in caplog.text
    assert again.fingerprint == first.fingerprint
    assert entries() == [entry]
    caplog.clear()
    load_model(file, dtype="float32")
    assert "damaged" not in caplog.text


def test_a_full_disk_still_gives_the_model(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf, "_write", full)
    with caplog.at_level(logging.WARNING):
        loaded = load_model(file, dtype="float32")
    assert "No space left" in caplog.text
    assert entries() == []
    monkeypatch.undo()
    assert loaded.fingerprint == load_model(file, dtype="float32").fingerprint


def test_ctrl_c_while_writing_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gguf._write

    def interrupted(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_model(file)
    assert entries() == []


def test_parts_are_joined(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    parts = []
    for i, at in enumerate(range(0, len(content), len(content) // 3 + 1)):
        part = tmp_path / f"part{i}"
        part.write_bytes(content[at : at + len(content) // 3 + 1])
        parts.append(part)
    source = GgufSource("joined", tuple(parts))
    joined, _ = gguf.open_gguf(source, lambda path: loading._from_pretrained(str(path), torch.float32), torch.float32)
    whole = load_model(file, dtype="float32")
    ids = torch.tensor([[7, 8, 9]])
    assert torch.equal(joined(ids).logits, whole.model(ids).logits)


def test_another_content_is_another_entry(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    write_tiny_gguf(file)
    one = GgufSource.of_file(file).key()
    assert GgufSource.of_file(file).key() == one
    file.unlink()
    write_tiny_gguf(file, seed=1)
    assert GgufSource.of_file(file).key() != one


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no GGUF file"), (b"not one", "not a GGUF file"), (b"GGUF\x03", "can't read")]
)
def test_unusable_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(path)
    assert "\n" not in str(caught.value) and "bad.gguf" in str(caught.value)


def test_a_truncated_file(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(ModelError, match=r"can't read cut\.gguf"):
        load_model(path)


def test_nothing_on_stdout_and_no_foreign_bars(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(file)
    load_model(file)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "it/s" not in captured.err and "Converting" not in captured.err


def test_compact_keeps_what_float16_cannot_hold() -> None:
    assert compact(torch.tensor([1.0, -65504.0])).dtype == torch.float16
    big = torch.tensor([1.0, 70000.0])
    assert compact(big) is big
