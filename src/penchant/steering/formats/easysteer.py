"""Per-request specs for EasySteer (ZJU-REAL/EasySteer and its vLLM fork): the `steering` field of a request's body.

Sources, all of them public: docs/user-guide/steering.md and docs/user-guide/openai-server.md of EasySteer at a199357
and 3e242a6 (the spec, the JSON field), its docs/api-reference/algorithms.md and payloads.md at 2200a7c
(`attention_add`, the wire form of tensors), and of the fork EasySteer-vllm-v1 vllm/model_hooks/selection/spec.py at
4aca1f5 (which tokens) and vllm/model_hooks/steering/payloads.py at 4b85a7f (version and sha256 of the wire form).
Earlier documents (docs/design/STEERING_API_V2.md at 726a887) have `apply: {"phases": [...]}`, which later servers
reject; it isn't written here.

Not verified: no EasySteer server has been run with these specs. Tests check that they follow the sources above and that
they read back as the same intervention.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from penchant.errors import InputError
from penchant.inference.intervention import AFTER_PROMPT, ALL, Edit, Intervention, prompt_tail
from penchant.inference.sites import Kind, Site
from penchant.models.loading import LoadedModel
from penchant.steering.formats.blocks import block_vectors
from penchant.steering.formats.exported import Export, Vector, added_vectors, check_file, check_model, write_whole

VERSION = 1
"""Version of the wire format of tensors."""
ALGORITHMS: dict[str, Kind] = {"direct": "block", "attention_add": "heads"}
"""EasySteer's names for adding after a layer, and for adding to the heads' outputs before the projection."""


def write_easysteer(
    intervention: Intervention,
    path: Path | None,
    model: LoadedModel | None = None,
    *,
    approximate: bool = False,
    source: str | None = None,
) -> Export:
    """Write the spec of an intervention of one row: in `body`, and as a JSON file if a path is given.

    Block sites become the algorithm `direct`, head sites `attention_add`, both exact; attention and MLP sites are moved
    after their layers if that is equivalent (`block_vectors`), or with `approximate`. All three scopes can be
    expressed. The spec contains the vectors, in float32. source: name a GGUF file on the server instead
    (`write_gguf(..., layer_0=True)` writes it; block sites only). The server must declare the algorithms
    (--steer-algorithms direct,...), and --steer-multi-vector for both in one spec. Raises `InputError`.
    """
    if model is not None:
        check_model(intervention, model, "the intervention")
    added = added_vectors(intervention, "EasySteer")
    heads = {site.layer: vector for site, vector in added.items() if site.kind == "heads"}
    others = {site: Edit(vector[None]) for site, vector in added.items() if site.kind != "heads"}
    apply = _apply(intervention.scope)
    vectors = []
    notes: tuple[str, ...] = ()
    if others:
        blocks = block_vectors(Intervention(others, intervention.scope), model, approximate, "EasySteer")
        notes = blocks.notes
        source_field = {"data": _payload(blocks.vectors)} if source is None else {"source": source}
        vectors.append(_spec("direct", source_field, apply, sorted(blocks.vectors)))
    if heads:
        if source is not None:
            raise InputError("a GGUF file holds vectors of whole layers: leave source out to send those of heads")
        vectors.append(_spec("attention_add", {"data": _payload(heads)}, apply, sorted(heads)))
    # By default, only the first of several matching vectors applies; here all should.
    body = {"steering": {"vectors": vectors, "conflict": "sequential"}}
    if path is not None:
        text = json.dumps(body, indent=1) + "\n"
        write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    return Export("easysteer", path, body, notes)


def read_easysteer(path: Path, model: LoadedModel | None = None, *, other_model: bool = False) -> Intervention:
    """Read the intervention of a spec in a JSON file: the spec itself, or a body with the field `steering`.

    Accepts specs that can be represented exactly: `direct` and `attention_add` with tensors in the spec, not
    normalised, and one scope that Penchant has. model: sites and widths are checked; the spec has no fingerprint, so
    `other_model` has no effect. Raises `InputError`.
    """
    check_file(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} holds no JSON ({error}): expected a spec of EasySteer") from error
    try:
        intervention = from_easysteer(document)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if model is not None:
        check_model(intervention, model, str(path))
    return intervention


def from_easysteer(document: Any) -> Intervention:
    """As `read_easysteer`, from parsed JSON."""
    try:
        return _intervention(document)
    except (TypeError, KeyError, AttributeError, IndexError, RuntimeError) as error:  # not a spec
        raise InputError(f"no EasySteer spec ({type(error).__name__}: {error}): check where it is from") from error


def _intervention(document: Any) -> Intervention:
    spec = document.get("steering", document)
    edits: dict[Site, Edit] = {}
    scopes = set()
    for entry in spec["vectors"]:
        kind = ALGORITHMS.get(entry.get("algorithm", "direct"))
        if kind is None or entry.get("normalize", False) or "data" not in entry:
            raise InputError(
                f"a vector of this spec can't be read: expected one of {', '.join(ALGORITHMS)}, with its tensors "
                "in the spec (data) and normalize false"
            )
        scopes.add(_scope(entry["apply"]))
        wanted = entry.get("layers")
        for layer, vector in _directions(entry["data"]).items():
            if wanted is not None and layer not in wanted:
                continue
            site = Site(layer, kind)
            if site in edits and spec.get("conflict", "priority") != "sequential":
                raise InputError(f"two vectors at {site} and conflict isn't sequential: only one of them would apply")
            before = edits[site].add if site in edits else None
            scaled = vector[None] * entry.get("scale", 1.0)
            edits[site] = Edit(scaled if before is None else before + scaled)
            if not bool(scaled.isfinite().all()):
                raise InputError(f"the vector at {site} has numbers that aren't finite: get the spec anew")
    if len(scopes) != 1:
        raise InputError(f"a spec with {len(scopes)} ways of choosing tokens: expected one for all of its vectors")
    return Intervention(dict(sorted(edits.items())), scopes.pop())


def _spec(
    algorithm: str, source_field: Mapping[str, Any], apply: Mapping[str, Any], layers: list[int]
) -> dict[str, Any]:
    return {
        **source_field,
        "algorithm": algorithm,
        "scale": 1.0,
        "layers": layers,
        "normalize": False,
        "apply": dict(apply),
    }


def _apply(scope: str) -> dict[str, Any]:
    """Convert the choice of tokens. Decode steps are counted by the token that is read, as in Penchant: the first is
    the answer's first token.
    """
    if scope == ALL:
        return {"prompt": "all", "generation": "all"}
    tail = prompt_tail(scope)
    return {"prompt_window": [-tail, None], "generation": "all"} if tail else {"generation": "all"}


def _scope(apply: Any) -> str:
    given = {name: value for name, value in apply.items() if value is not None}
    window = given.get("prompt_window")
    if given == {"generation": "all"}:
        return AFTER_PROMPT
    if given == {"prompt": "all", "generation": "all"}:
        return ALL
    if set(given) == {"prompt_window", "generation"} and window and window[0] < 0 and window[1] is None:
        return f"last_{-window[0]}"
    raise InputError(
        f"apply {json.dumps(apply)} can't be expressed: expected all generated tokens, and a prompt's last"
    )


def _payload(vectors: Mapping[int, Vector]) -> dict[str, Any]:
    """Return the wire format of directions: float32, little-endian, in base64."""
    tensors = {
        f"layer.{layer}": vector.contiguous().numpy().astype("<f4").tobytes() for layer, vector in vectors.items()
    }
    shapes = {f"layer.{layer}": [len(vector)] for layer, vector in vectors.items()}
    return {
        "version": VERSION,
        "kind": "direction",
        "tensors": {
            name: {"shape": shapes[name], "data": base64.b64encode(data).decode("ascii")}
            for name, data in sorted(tensors.items())
        },
        "extra": {},
        "sha256": _digest(tensors, shapes),
    }


def _digest(tensors: Mapping[str, bytes], shapes: Mapping[str, list[int]]) -> str:
    digest = hashlib.sha256(f"direction:{VERSION}".encode())
    for name, data in sorted(tensors.items()):
        digest.update(name.encode() + f"({shapes[name][0]},)".encode() + data)
    return digest.hexdigest()


def _directions(payload: Any) -> dict[int, Vector]:
    if payload["version"] != VERSION or payload["kind"] != "direction":
        raise InputError(
            f"tensors of kind {payload['kind']}, version {payload['version']}: expected direction, {VERSION}"
        )
    try:
        tensors = {name: base64.b64decode(entry["data"], validate=True) for name, entry in payload["tensors"].items()}
    except binascii.Error as error:
        raise InputError(f"tensors that aren't base64 ({error}): the spec is damaged, get it anew") from error
    shapes = {name: list(entry["shape"]) for name, entry in payload["tensors"].items()}
    found = {}
    for name, data in tensors.items():
        match = re.fullmatch(r"layer\.(\d+)", name)
        if match is None or shapes[name] != [len(data) // 4] or len(data) % 4:
            raise InputError(f"a tensor {name} of shape {shapes[name]}: expected layer.N with one row of float32")
        found[int(match[1])] = torch.frombuffer(bytearray(data), dtype=torch.float32)
    if _digest(tensors, shapes) != payload["sha256"]:
        raise InputError("tensors whose sha256 is another: the spec is damaged, get it anew")
    return found
