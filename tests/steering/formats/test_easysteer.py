import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Kind, Site
from penchant.steering.formats import read
from penchant.steering.formats.easysteer import from_easysteer, read_easysteer, write_easysteer
from penchant.steering.formats.gguf_file import read_gguf, write_gguf
from tests.families import tiny
from tests.steering.interchange.cases import ANSWER, PROMPT, adding, hooked, logits, same

SCOPES = ["all", "after_prompt", "last_1", "last_3", "last_99"]


def written(apply: dict[str, Any]) -> Tensor:
    """bool [tokens]: a clause of `ApplySpec` by its documentation, one token at a time."""
    assert set(apply) <= {"prompt", "generation", "prompt_window"}  # what these specs use
    chosen = []
    for at in range(PROMPT):
        begin, end = apply.get("prompt_window") or (PROMPT, PROMPT)
        begin, end = begin + PROMPT if begin < 0 else begin, PROMPT if end is None else end
        chosen.append(apply.get("prompt") == "all" or begin <= at < end)
    return torch.tensor(chosen + [apply.get("generation") == "all"] * ANSWER)


def unpacked(payload: dict[str, Any], kind: Kind) -> dict[Site, Tensor]:
    """The tensors of a payload, its hash recomputed from the bytes, field by field."""
    assert (payload["version"], payload["kind"], payload["extra"]) == (1, "direction", {})
    hashed, found = b"direction:1", {}
    for name in sorted(payload["tensors"]):
        entry = payload["tensors"][name]
        data = base64.b64decode(entry["data"], validate=True)
        hashed += name.encode() + str(tuple(entry["shape"])).encode() + data
        found[Site(int(name.removeprefix("layer.")), kind)] = torch.frombuffer(bytearray(data), dtype=torch.float32)
    assert payload["sha256"] == hashlib.sha256(hashed).hexdigest()
    return found


@pytest.mark.parametrize("scope", SCOPES)
def test_what_a_server_would_do(scope: str) -> None:
    model = tiny()
    intervention = adding(model, ["0.block", "2.block", "1.heads"], scope)
    exported = write_easysteer(intervention, None, model)
    body = json.loads(json.dumps(exported.body))
    assert set(body) == {"steering"} and exported.notes == ()
    spec = body["steering"]
    assert spec["conflict"] == "sequential"
    vectors: dict[Site, Tensor] = {}
    for entry, (algorithm, kind, layers) in zip(
        spec["vectors"], [("direct", "block", [0, 2]), ("attention_add", "heads", [1])], strict=True
    ):
        assert set(entry) == {"data", "algorithm", "scale", "layers", "normalize", "apply"}
        assert (entry["algorithm"], entry["scale"], entry["layers"], entry["normalize"]) == (
            algorithm,
            1.0,
            layers,
            False,
        )
        vectors |= unpacked(entry["data"], kind)
    theirs = hooked(model, vectors, written(spec["vectors"][0]["apply"]))
    assert torch.equal(theirs, logits(model, intervention))
    assert not torch.equal(theirs, logits(model, None))


@pytest.mark.parametrize("scope", SCOPES)
def test_there_and_back(tmp_path: Path, scope: str) -> None:
    model, path = tiny(), tmp_path / "spec.json"
    intervention = adding(model, ["0.block", "3.block", "1.heads"], scope)
    exported = write_easysteer(intervention, path, model)
    assert json.loads(path.read_text(encoding="utf-8")) == exported.body
    assert same(read(path, model=model), intervention)
    assert same(from_easysteer(exported.body["steering"]), intervention)


def test_half_precision_is_widened_and_moved_sites_are_moved() -> None:
    model = tiny()
    add = torch.randn(1, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    exported = write_easysteer(Intervention({Site(2, "mlp"): Edit(add)}, "last_0"), None, model)
    back = from_easysteer(exported.body)
    assert list(back.edits) == [Site(2, "block")] and torch.equal(back.edits[Site(2, "block")].add, add.float())
    assert back.scope == "after_prompt"  # what last_0 is
    with pytest.raises(InputError, match=r"2.attention isn't the same"):
        write_easysteer(adding(model, ["2.attention"]), None, model)
    assert write_easysteer(adding(model, ["2.attention"]), None, model, approximate=True).notes


def test_a_file_on_the_server(tmp_path: Path) -> None:
    model = tiny()
    intervention = adding(model, ["0.block", "2.block"])
    exported = write_easysteer(intervention, None, model, source="vectors/ada.gguf")
    entry = exported.body["steering"]["vectors"][0]
    assert entry["source"] == "vectors/ada.gguf" and "data" not in entry and entry["layers"] == [0, 2]
    write_gguf(intervention, tmp_path / "ada.gguf", model, layer_0=True)
    assert same(read_gguf(tmp_path / "ada.gguf", model), intervention)
    with pytest.raises(InputError, match="leave source out"):
        write_easysteer(adding(model, ["1.heads"]), None, model, source="vectors/ada.gguf")


def test_what_cannot_be_said() -> None:
    with pytest.raises(InputError, match=r"1.mlp is scaled: EasySteer can only add"):
        write_easysteer(Intervention({Site(1, "mlp"): Edit(None, torch.full((1, 64), 2.0))}), None)
    with pytest.raises(InputError, match="with 2 rows"):
        write_easysteer(Intervention({Site(1, "block"): Edit(torch.ones(2, 64))}), None)
    with pytest.raises(InputError, match="layers 0 to 3"):
        write_easysteer(Intervention({Site(5, "block"): Edit(torch.ones(1, 64))}), None, tiny())


def _spec(**changes: Any) -> dict[str, Any]:
    made = write_easysteer(adding(tiny(), ["1.block", "2.block"], "last_2"), None).body["steering"]
    spec: dict[str, Any] = json.loads(json.dumps(made))
    spec["vectors"][0] |= changes
    return spec


def test_specs_of_others() -> None:
    spec = _spec(scale=-0.5, layers=[2])
    whole = from_easysteer(_spec()).edits[Site(2, "block")].add
    taken = from_easysteer(spec)
    assert list(taken.edits) == [Site(2, "block")] and torch.equal(taken.edits[Site(2, "block")].add, -0.5 * whole)
    del spec["vectors"][0]["layers"], spec["vectors"][0]["normalize"], spec["vectors"][0]["algorithm"]  # their defaults
    assert len(from_easysteer(spec).edits) == 2
    spec["vectors"] = [spec["vectors"][0], spec["vectors"][0]]
    assert torch.equal(from_easysteer(spec).edits[Site(2, "block")].add, -whole)
    del spec["conflict"]
    with pytest.raises(InputError, match=r"two vectors at 1.block and conflict isn't sequential"):
        from_easysteer(spec)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "erase"}, "can't be read"),
        ({"normalize": True}, "can't be read"),
        ({"apply": {"phases": ["generation"]}}, "can't be expressed"),
        ({"apply": {"generation": "all", "exclude_generation_tokens": [3]}}, "can't be expressed"),
        ({"apply": {"prompt_window": [-4, -1], "generation": "all"}}, "can't be expressed"),
        ({"apply": {"prompt_window": [2, None], "generation": "all"}}, "can't be expressed"),
        ({"apply": None}, "no EasySteer spec"),
        ({"data": {"version": 2, "kind": "direction"}}, "version 2: expected direction, 1"),
        ({"data": []}, "no EasySteer spec"),
        ({"layers": 2}, "no EasySteer spec"),
        ({"scale": float("nan")}, "aren't finite"),
    ],
)
def test_specs_that_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"steering": _spec(**changes)}), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_easysteer(path)
    assert "\n" not in str(caught.value)


def test_damage(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    for change in (
        lambda tensors: tensors["layer.1"].update(data="A" + tensors["layer.1"]["data"][1:]),
        lambda tensors: tensors["layer.1"].update(data=tensors["layer.1"]["data"][:-8]),
        lambda tensors: tensors["layer.1"].update(data="%%%%"),
        lambda tensors: tensors["layer.1"].update(shape=[8, 8]),
        lambda tensors: tensors.update({"layer.x": tensors["layer.1"]}),
        lambda tensors: tensors.pop("layer.2"),
    ):
        spec = _spec()
        change(spec["vectors"][0]["data"]["tensors"])
        path.write_text(json.dumps(spec), encoding="utf-8")
        with pytest.raises(InputError):
            read_easysteer(path)
    for content in (b"[]", b"{}", b"3", b'{"steering": null}', b'{"vectors": [3]}', b"", b"{", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"no EasySteer spec|holds no JSON") as caught:
            read_easysteer(path)
        assert ("no EasySteer spec" in str(caught.value)) == content.endswith((b"]", b"}", b"3"))
    with pytest.raises(InputError, match="can't read"):
        read_easysteer(tmp_path / "missing.json")
