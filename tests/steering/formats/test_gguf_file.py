from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.inference.intervention import Intervention
from penchant.inference.sites import Site
from penchant.steering.formats import read
from penchant.steering.formats.gguf_file import read_gguf, write_gguf
from tests.families import tiny
from tests.steering.interchange.cases import TOKENS, adding, hooked, logits, same
from tests.tiny_gguf import write_tiny_gguf


def repeng_file(path: Path, directions: dict[int, np.ndarray], arch: str = "controlvector") -> Path:
    """As repeng's `ControlVector.export_gguf` lays a file out."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_uint32("controlvector.layer_count", len(directions))
    for layer, direction in directions.items():
        writer.add_tensor(f"direction.{layer}", direction)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def directions(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(path).tensors}


def llama_cpp(path: Path, layers: int) -> dict[int, np.ndarray]:
    """Layer -> what llama.cpp adds behind it: one buffer that begins with layer 1, filled and read by offset."""
    width = len(next(iter(directions(path).values())))
    buffer = np.zeros(width * layers, np.float32)
    for name, direction in directions(path).items():
        number = int(name.removeprefix("direction."))
        assert number > 0 and direction.dtype == np.float32 and direction.ndim == 1
        buffer[width * (number - 1) : width * number] += direction
    return {layer: buffer[width * (layer - 1) : width * layer] for layer in range(1, layers)}


def test_what_other_readers_find(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "happy.gguf"
    intervention = adding(model, ["1.block", "3.block"])
    exported = write_gguf(intervention, path, model)
    assert exported.path == path and exported.notes == ()
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "controlvector"
    assert fields["controlvector.model_hint"] == "llama"
    assert fields["controlvector.layer_count"] == 2
    assert fields["penchant.fingerprint"] == model.fingerprint and fields["penchant.notes"] == "exact"
    assert [tensor.name for tensor in reader.tensors] == ["direction.1", "direction.3"]
    for tensor in reader.tensors:
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32 and tensor.shape.tolist() == [64]
        site = Site(int(tensor.name[-1]), "block")
        assert np.array_equal(tensor.data, intervention.edits[site].add[0].numpy())


def test_there_and_back(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.gguf"
    intervention = adding(model, ["1.block", "2.block"])
    write_gguf(intervention, path, model)
    assert same(read_gguf(path, model), intervention) and same(read(path), intervention)
    assert torch.equal(logits(model, read_gguf(path)), logits(model, intervention))
    assert read_gguf(path, scope="after_prompt").scope == "after_prompt"


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_neox"])
def test_repeng_and_llama_cpp_would_do_what_our_runtime_does(tmp_path: Path, family: str) -> None:
    model, path = tiny(family), tmp_path / "x.gguf"
    intervention = adding(model, ["1.block", "3.block"])
    write_gguf(intervention, path, model)
    everywhere = torch.ones(TOKENS.shape[1], dtype=torch.bool)
    ours = logits(model, intervention)
    assert (ours - logits(model, None)).abs().max() > 0.1
    by_repeng = {Site(int(name.split(".")[1]), "block"): torch.tensor(v) for name, v in directions(path).items()}
    assert torch.equal(hooked(model, by_repeng, everywhere), ours)
    by_llama_cpp = {Site(layer, "block"): torch.tensor(v) for layer, v in llama_cpp(path, model.num_layers).items()}
    assert torch.equal(hooked(model, by_llama_cpp, everywhere), ours)


def test_a_file_of_repeng(tmp_path: Path) -> None:
    model = tiny()
    made = {layer: np.full(64, layer / 8, np.float32) for layer in (3, 2, 1)}  # last layer first, as repeng trains
    path = repeng_file(tmp_path / "repeng.gguf", made)
    intervention = read_gguf(path, model)
    assert intervention.scope == "all" and [str(site) for site in intervention.edits] == [
        "1.block",
        "2.block",
        "3.block",
    ]
    written = torch.ones(TOKENS.shape[1], dtype=torch.bool)
    vectors = {Site(layer, "block"): torch.tensor(values) for layer, values in made.items()}
    assert torch.equal(logits(model, intervention), hooked(model, vectors, written))


def test_layers_counted_from_the_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = repeng_file(tmp_path / "x.gguf", {-1: np.ones(64, np.float32), -3: np.zeros(64, np.float32)})
    assert set(read_gguf(path, tiny()).edits) == {Site(3, "block"), Site(1, "block")}
    assert "direction.-1 is added behind layer 3, counted from the last" in caplog.text
    with pytest.raises(InputError, match=r"from the last \(-3\): pass model="):
        read_gguf(path)
    path = repeng_file(tmp_path / "y.gguf", {-1: np.ones(64, np.float32), 3: np.ones(64, np.float32)})
    with pytest.raises(InputError, match=r"direction.3, a layer that doesn't exist or occurs twice"):
        read_gguf(path, tiny())


def test_numbers_in_half_precision(tmp_path: Path) -> None:
    path = repeng_file(tmp_path / "x.gguf", {1: np.arange(64).astype(np.float16)})
    add = read_gguf(path, tiny()).edits[Site(1, "block")].add
    assert add.dtype == torch.float32 and add.tolist() == [list(range(64))]


def test_numbers_in_double_precision(tmp_path: Path) -> None:
    """What repeng writes for a direction that was multiplied by a NumPy float."""
    path = repeng_file(tmp_path / "x.gguf", {1: np.arange(64) * np.float64(0.5)})
    assert "F64" in {tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    add = read_gguf(path, tiny()).edits[Site(1, "block")].add
    assert add.dtype == torch.float32 and add.tolist() == [[i / 2 for i in range(64)]]
    with pytest.raises(InputError, match=r"direction.1 in the format I32: expected floating-point"):
        read_gguf(repeng_file(tmp_path / "y.gguf", {1: np.arange(64, dtype=np.int32)}))


def test_layer_0(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.gguf"
    intervention = adding(model, ["0.block"])
    with pytest.raises(InputError, match=r"llama.cpp can't add behind layer 0"):
        write_gguf(intervention, path, model)
    assert not path.exists()
    write_gguf(intervention, path, model, layer_0=True)
    assert list(directions(path)) == ["direction.0"] and same(read_gguf(path, model), intervention)


def test_scopes_and_sites_that_a_file_cannot_say(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.gguf"
    intervention = adding(model, ["2.attention", "2.mlp"], "after_prompt")
    with pytest.raises(InputError, match="scope 'after_prompt' can't be expressed"):
        write_gguf(intervention, path, model)
    with pytest.raises(InputError, match="scope 'last_1' can't be expressed"):
        write_gguf(adding(model, ["2.block"], "last_1"), path, model)
    with pytest.raises(InputError, match=r"2.attention isn't the same"):
        write_gguf(Intervention(intervention.edits, "all"), path, model)
    assert not path.exists()
    exported = write_gguf(intervention, path, model, approximate=True, model_hint="qwen2")
    assert len(exported.notes) == 2
    fields = {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}
    assert fields["penchant.notes"] == "; ".join(exported.notes) and fields["controlvector.model_hint"] == "qwen2"
    summed = sum(edit.add for edit in intervention.edits.values())
    assert torch.equal(read_gguf(path, model).edits[Site(2, "block")].add, summed)
    exact = write_gguf(adding(model, ["2.mlp"]), path, model)
    assert exact.notes == ()


def test_other_models(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.gguf"
    write_gguf(adding(model, ["3.block"]), path, model)
    with pytest.raises(InputError, match="not with tiny-llama"):
        read_gguf(path, tiny(seed=1))
    assert read_gguf(path, tiny(seed=1), other_model=True).edits
    with pytest.raises(InputError, match="layers 0 to 1"):
        read_gguf(path, tiny(layers=2), other_model=True)
    with pytest.raises(InputError, match=r"63 numbers at 1.block, tiny-llama has 64"):
        read_gguf(repeng_file(path, {1: np.ones(63, np.float32)}), model)


def renamed(path: Path, old: str, new: str) -> Path:
    content = path.read_bytes()
    assert len(old) == len(new) and old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode()))
    return path


def test_files_that_are_no_control_vectors(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_tiny_gguf(path)
    with pytest.raises(InputError, match="GGUF file of llama: expected a control vector"):
        read_gguf(path)
    with pytest.raises(InputError, match=r"has a tensor weighting.1: a control vector has direction.N alone"):
        read_gguf(renamed(repeng_file(path, {1: np.ones(64, np.float32)}), "direction.1", "weighting.1"))
    with pytest.raises(InputError, match=r"no tensor direction.N"):
        read_gguf(repeng_file(path, {}))
    with pytest.raises(InputError, match=r"direction.1 with shape \[2, 32\]"):
        read_gguf(repeng_file(path, {1: np.ones((2, 32), np.float32)}))
    with pytest.raises(InputError, match=r"direction.1 that aren't finite"):
        read_gguf(repeng_file(path, {1: np.full(64, np.inf, np.float32)}))
    with pytest.raises(InputError, match="can't read"):
        read_gguf(tmp_path / "missing.gguf")


def test_damage(tmp_path: Path) -> None:
    path = repeng_file(tmp_path / "x.gguf", {1: np.ones(64, np.float32), 2: np.ones(64, np.float32)})
    whole = path.read_bytes()
    for content in (b"", b"GGUF", b"PK" + whole, *(whole[:size] for size in range(8, len(whole) - 4, 24))):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_gguf(path)
        assert "\n" not in str(caught.value)
