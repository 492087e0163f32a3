import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site
from penchant.steering.formats.vllm_hook import from_vllm_hook, write_vllm_hook
from tests.families import tiny
from tests.steering.interchange.cases import ANSWER, PROMPT, adding, hooked, logits, same


def written(config: dict[str, Any]) -> Tensor:
    """bool [tokens]: phase and positions by its worker: one prefill of the prompt, then steps of one token."""
    steps = [list(range(PROMPT)), *([PROMPT + i] for i in range(ANSWER))]
    chosen = torch.zeros(PROMPT + ANSWER, dtype=torch.bool)
    for i, tokens in enumerate(steps):
        if config["phase"] in ("both", "prefill" if i == 0 else "decode"):
            chosen[tokens if config["positions"] == "all_tokens" else tokens[-1:]] = True
    return chosen


@pytest.mark.parametrize("scope", ["all", "after_prompt", "last_1"])
def test_what_a_server_would_do(tmp_path: Path, scope: str) -> None:
    model, path = tiny(), tmp_path / "ada.pt"
    intervention = adding(model, ["2.block"], scope)
    exported = write_vllm_hook(intervention, path, model)
    steer = exported.body["vllm_xargs"]["steer"]
    assert isinstance(steer, str)  # vllm_xargs takes scalars only
    config = json.loads(steer)
    assert config["method"] == "add_vector" and config["optimal_layer"] == 2 and exported.notes == ()
    raw = torch.load(config["vector_path"], weights_only=True)
    assert set(raw) == {"dir"} and raw["dir"].dtype == torch.float32
    site = Site(config["optimal_layer"], "block")
    theirs = hooked(model, {site: config["coefficient"] * raw["dir"]}, written(config))
    assert torch.equal(theirs, logits(model, intervention)) and not torch.equal(theirs, logits(model, None))
    assert same(from_vllm_hook(steer, model), intervention)


def test_the_same_vector_at_several_layers(tmp_path: Path) -> None:
    path, add = tmp_path / "x.pt", torch.ones(1, 64)
    intervention = Intervention({Site(layer, "block"): Edit(add) for layer in (1, 3)}, "all")
    steer = write_vllm_hook(intervention, path, server_path="/vectors/x.pt").body["vllm_xargs"]["steer"]
    config = json.loads(steer)
    assert config["optimal_layer"] == [1, 3] and config["vector_path"] == "/vectors/x.pt"
    assert same(from_vllm_hook(config, tiny(), vector=path), intervention)
    with pytest.raises(InputError, match=r"can't read /vectors/x.pt"):
        from_vllm_hook(config)


def test_what_cannot_be_said(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.pt"
    for intervention, message in [
        (adding(model, ["1.block", "2.block"]), "one vector a request, here are different ones at layers 1, 2"),
        (
            adding(model, ["1.block"], "last_2"),
            "can't express scope 'last_2': expected one of all, after_prompt, last_1",
        ),
        (adding(model, ["1.heads"]), "vLLM-Hook can't write at 1.heads"),
        (adding(model, ["1.attention"]), "1.attention isn't the same"),
        (adding(tiny("qwen3"), ["1.heads"]), "128 numbers at 1.heads"),
    ]:
        with pytest.raises(InputError, match=message):
            write_vllm_hook(intervention, path, model)
    with pytest.raises(InputError, match="expected a path"):
        write_vllm_hook(adding(model, ["1.block"]), None, model)
    assert not path.exists()
    assert write_vllm_hook(adding(model, ["1.attention"]), path, model, approximate=True).notes
    moved = write_vllm_hook(adding(model, ["1.mlp"], "last_0"), path, model)
    assert moved.notes == () and json.loads(moved.body["vllm_xargs"]["steer"])["phase"] == "decode"


def test_configurations_of_others(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.pt"
    torch.save({"dir": torch.ones(64), "avg_proj": torch.tensor(0.3)}, path)
    old = {"method": "add_vector", "coefficient": 5, "optimal_layer": 1, "vector_path": str(path)}
    taken = from_vllm_hook(old, model)
    assert taken.scope == "all" and taken.edits[Site(1, "block")].add.tolist() == [[5.0] * 64]
    assert from_vllm_hook(old | {"apply_at_all_positions": False}).scope == "last_1"
    assert len(from_vllm_hook(old | {"optimal_layer": "all"}, model).edits) == 4
    for change, message in [
        ({"method": "adjust_rs"}, "method adjust_rs"),
        ({"phase": "prefill"}, "phase prefill"),
        ({"phase": "decode", "positions": "last_token"}, "phase decode, positions last_token"),
        ({"optimal_layer": -1}, "expected add_vector, layers from 0"),
        ({"optimal_layer": []}, "expected add_vector"),
        ({"optimal_layer": None}, "no steer configuration"),
        ({"optimal_layer": "all"}, "pass model="),
        ({"coefficient": "much"}, "no steer configuration"),
    ]:
        with pytest.raises(InputError, match=message):
            from_vllm_hook(old | change)
    with pytest.raises(InputError, match="layers 0 to 3"):
        from_vllm_hook(old | {"optimal_layer": 7}, model)
    for text in ("{", "[]", "3", "{}"):
        with pytest.raises(InputError, match="no steer configuration"):
            from_vllm_hook(text)


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a vector file was executed",))


def test_files_are_read_not_run(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    config = {"method": "add_vector", "coefficient": 1, "optimal_layer": 1, "vector_path": str(path)}
    torch.save({"dir": _Runs()}, path)
    with pytest.raises(InputError, match="holds more than tensors"):
        from_vllm_hook(config)
    whole = path.read_bytes()
    torch.save({"dir": torch.ones(4)}, path)
    tripping = path.read_bytes().replace(b"_rebuild_tensor_v2", b"_rebuild_parameter", 1)
    for content in (b"", b"no pickle", whole[:50], whole[:-30], tripping):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged or holds more"):
            from_vllm_hook(config)
    for content in (torch.ones(4), {"dir": [1.0]}, {"dir": torch.full((4,), torch.nan)}, {"dir": torch.ones(0)}):
        torch.save(content, path)
        with pytest.raises(InputError, match="no finite tensor 'dir'"):
            from_vllm_hook(config)
