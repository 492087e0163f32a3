from inspect import signature
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.steering.formats import Export, export, formats, read
from penchant.steering.formats.registry import FORMATS, ReadOptions, WriteOptions
from tests.families import tiny
from tests.steering.interchange.cases import adding, same


@pytest.mark.parametrize("name", formats())
def test_every_format_takes_a_block_vector_at_all_tokens(tmp_path: Path, name: str) -> None:
    model, intervention = tiny(), adding(tiny(), ["2.block"], "all")
    path = tmp_path / "mine.file"
    exported = export(intervention, name, path, model=model)
    assert exported == Export(name, path, exported.body, ())
    assert bool(exported.body) == (name in {"easysteer", "vllm-hook"})
    assert path.exists() and formats()[name]
    if name != "vllm-hook":
        assert same(read(str(path), name, model=model), intervention)


def test_files_are_known_by_their_suffix(tmp_path: Path) -> None:
    model, intervention = tiny(), adding(tiny(), ["2.block"], "all")
    for name, suffix in [("safetensors", ".safetensors"), ("gguf", ".GGUF"), ("easysteer", ".json")]:
        export(intervention, name, str(tmp_path / f"x{suffix}"), model=model)
        assert same(read(tmp_path / f"x{suffix}"), intervention)
    with pytest.raises(InputError, match=r"none of the suffixes .safetensors, .gguf, .json: pass format="):
        read(tmp_path / "x.bin")
    with pytest.raises(InputError, match="only half of a vllm-hook request"):
        read(tmp_path / "x.pt")


def test_typed_options_are_those_of_the_formats() -> None:
    calls = ((WriteOptions, "approximate", [one.write for one in FORMATS.values()]),)
    calls += ((ReadOptions, "other_model", [one.read for one in FORMATS.values() if one.read is not None]),)
    for options, shared, functions in calls:
        found = set[str]()
        for function in functions:
            found |= {one.name for one in signature(function).parameters.values() if one.kind is one.KEYWORD_ONLY}
        assert found - {shared} == set(options.__annotations__)


def test_options_reach_their_format(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.gguf"
    intervention = adding(model, ["0.block", "1.attention"], "after_prompt")
    assert export(intervention, "gguf", path, model=model, approximate=True, layer_0=True).notes
    assert read(path, scope="last_2").scope == "last_2"
    other = tiny(seed=1)
    with pytest.raises(InputError, match="made with tiny-llama"):
        read(path, model=other)
    assert read(path, model=other, other_model=True).edits


def test_bad_names(tmp_path: Path) -> None:
    intervention = adding(tiny(), ["2.block"])
    with pytest.raises(InputError, match="no format 'onnx': expected one of safetensors, gguf, easysteer, vllm-hook"):
        export(intervention, "onnx", tmp_path / "x")
    with pytest.raises(InputError, match="gguf has no option 'strength': its options are model_hint, layer_0"):
        export(intervention, "gguf", tmp_path / "x", strength=2)
    with pytest.raises(InputError, match="safetensors has no option 'scope': it takes no options"):
        read(tmp_path / "x.safetensors", scope="all")
    with pytest.raises(InputError, match="no format 'onnx'"):
        read(tmp_path / "x", "onnx")
