from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.steering.formats import read
from penchant.steering.formats.safetensors_file import read_safetensors, write_safetensors
from tests.families import tiny
from tests.steering.interchange.cases import adding, same

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
WIDTHS = dict.fromkeys(["attention", "mlp", "block", "heads"], 64)


@st.composite
def parts(draw: st.DrawFn) -> tuple[dict[Site, list[Tensor | None]], str]:
    """Site -> what is added and what scales, and a scope."""
    kinds = st.sampled_from(list(WIDTHS))
    edits = {}
    for site in draw(st.lists(st.builds(Site, st.integers(0, 3), kinds), min_size=1, max_size=4, unique=True)):
        generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
        shape = (1, WIDTHS[site.kind])
        tensors = [torch.randn(shape, generator=generator).to(draw(st.sampled_from(DTYPES))) for _ in range(2)]
        keep = draw(st.sampled_from([(0, 1), (0,), (1,)]))
        edits[site] = [tensor if i in keep else None for i, tensor in enumerate(tensors)]
    return edits, draw(st.sampled_from(["all", "after_prompt", "last_1", "last_12"]))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return tiny()


@given(made=parts())
@settings(max_examples=50)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, model: LoadedModel, made: tuple[dict[Site, list[Tensor | None]], str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "vectors.safetensors"
    intervention = Intervention({site: Edit(*tensors) for site, tensors in made[0].items()}, made[1])
    exported = write_safetensors(intervention, path, model)
    assert exported.path == path and not exported.notes
    assert same(read_safetensors(path, model), intervention)
    assert same(read(path), intervention)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    write_safetensors(adding(tiny(), ["1.attention", "2.heads"], "after_prompt"), path, tiny())
    return path


def test_another_model(path: Path) -> None:
    other = tiny("llama", seed=1)
    with pytest.raises(InputError, match=r"made with tiny-llama \(\w{8}\), not with tiny-llama .*: make it anew"):
        read_safetensors(path, other)
    assert read_safetensors(path, other, other_model=True).edits
    mine = tiny()
    with pytest.raises(InputError, match="make it anew"):  # one character is enough
        found = mine.fingerprint[:-1] + "x"
        read_safetensors(path, replace(mine, identity=SimpleNamespace(current=found, names=(found,))))  # type: ignore[arg-type]


def test_too_few_layers_and_another_width(path: Path) -> None:
    with pytest.raises(InputError, match=r"writes at 2.heads, but tiny-llama has layers 0 to 1"):
        read_safetensors(path, tiny(layers=2), other_model=True)
    with pytest.raises(InputError, match=r"64 numbers at 2.heads, tiny-qwen3 has 128 there: use it with the model"):
        read_safetensors(path, tiny("qwen3"), other_model=True)


def test_damage(path: Path) -> None:
    whole = path.read_bytes()
    for content in (b"", b"nothing like it", whole[:40], whole[:-8], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"damaged .*get it anew") as caught:
            read_safetensors(path)
        assert "\n" not in str(caught.value)


def test_other_versions_and_other_files(path: Path) -> None:
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata | {"scope": "all"})
    with pytest.raises(InputError, match="it isn't what was written"):
        read_safetensors(path)
    save_file(tensors, path, {"format": "penchant.intervention", "version": "2"})
    with pytest.raises(InputError, match="version 2, expected 1: update Penchant"):
        read_safetensors(path)
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(InputError, match="holds no intervention"):
        read_safetensors(path)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(InputError, match=r"can't read .*; check the path"):
            read_safetensors(path)


def test_what_is_not_written(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.safetensors"
    one = adding(model, ["1.block"])
    for intervention, given_model, where, message in [
        (one, None, path, "expected model="),
        (one, model, None, "expected a path"),
        (one, model, tmp_path / "no" / "folder.safetensors", "can't write"),
        (Intervention(), model, path, "with 0 rows: expected one"),
        (Intervention({Site(1, "block"): Edit(torch.ones(2, 64))}), model, path, "with 2 rows: expected one"),
        (Intervention({Site(1, "block"): Edit(torch.full((1, 64), torch.nan))}), model, path, "aren't finite"),
        (Intervention({Site(1, "block"): Edit(torch.ones(1, 63))}), model, path, "63 numbers at 1.block"),
        (replace(one, edits={Site(9, "block"): Edit(torch.ones(1, 64))}), model, path, "layers 0 to 3"),
    ]:
        with pytest.raises(InputError, match=message):
            write_safetensors(intervention, where, given_model)
    assert not list(tmp_path.iterdir())


def test_a_new_file_takes_the_place_of_the_old_one_at_once(path: Path) -> None:
    before = path.read_bytes()
    with path.open("rb") as reader:
        write_safetensors(adding(tiny(), ["3.block"]), path, tiny())
        assert reader.read() == before != path.read_bytes()


def test_a_failed_write_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError):
        write_safetensors(Intervention(), path, tiny())
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1
