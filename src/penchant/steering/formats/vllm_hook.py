"""Per-request steering for vLLM-Hook (IBM/vLLM-Hook, the package `mia`): `vllm_xargs={"steer": ...}` and a vector file.

Sources: docs/configs.md at 0f416c3 (per-request configuration; xargs are scalars, so the configuration is a JSON
string), examples/demo_actsteer_serve.py at 0623043, mia/workers/steer_worker.py and mia/graph/install_steer.py at
7203fcb (keys, layers, phase and positions), model_configs/activation_steer at 31b2628. A request has one vector, added
behind one or more layers (from 0). `phase` and `positions` are supported since 7203fcb or shortly before; earlier
versions only know `apply_at_all_positions` and would also edit the prompt.

Not verified: no server has been run with these requests. According to its code, it silently ignores configurations that
it doesn't understand and vector files that it can't read, and in CUDA-graph mode it keeps at most MIA_STEER_VMAX (16)
vector files: a request with a further one isn't steered. So it isn't suitable for many users at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.intervention import AFTER_PROMPT, ALL, Edit, Intervention, prompt_tail
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.steering.formats.blocks import block_vectors
from penchant.steering.formats.exported import Export, check_file, check_model, needs_path, write_whole

TOKENS = {ALL: ("both", "all_tokens"), AFTER_PROMPT: ("decode", "all_tokens"), "last_1": ("both", "last_token")}
"""Scope -> phase and positions. A decode step has a single token, so last_token in both phases is last_1."""


def write_vllm_hook(
    intervention: Intervention,
    path: Path | None,
    model: LoadedModel | None = None,
    *,
    approximate: bool = False,
    server_path: str | None = None,
) -> Export:
    """Write the vector (a .pt file) of an intervention of one row; `body` is the request that uses it.

    server_path: where the server finds the file; default `path`. Exact for one block vector, or the same one at
    several layers, with scope all, after_prompt or last_1; attention and MLP sites as in `block_vectors`. Raises
    `InputError` for anything else: one request can't carry different vectors for different layers.
    """
    path = needs_path(path, "a vector of vLLM-Hook")
    scope = AFTER_PROMPT if prompt_tail(intervention.scope) == 0 else intervention.scope
    if scope not in TOKENS:
        raise InputError(f"vLLM-Hook can't express scope {scope!r}: expected one of {', '.join(TOKENS)}")
    if model is not None:
        check_model(intervention, model, "the intervention")
    blocks = block_vectors(intervention, model, approximate, "vLLM-Hook")
    layers = sorted(blocks.vectors)
    vector = blocks.vectors[layers[0]]
    if any(not torch.equal(vector, other) for other in blocks.vectors.values()):
        raise InputError(
            f"vLLM-Hook takes one vector a request, here are different ones at layers {', '.join(map(str, layers))}: "
            "choose one layer, or export for EasySteer"
        )
    phase, positions = TOKENS[scope]
    config = {
        "method": "add_vector",
        "coefficient": 1.0,
        "optimal_layer": layers[0] if len(layers) == 1 else layers,
        "vector_path": str(path) if server_path is None else server_path,
        "phase": phase,
        "positions": positions,
    }
    write_whole(path, lambda partial: torch.save({"dir": vector.clone()}, partial))
    return Export("vllm-hook", path, {"vllm_xargs": {"steer": json.dumps(config)}}, blocks.notes)


def from_vllm_hook(
    steer: str | Mapping[str, Any], model: LoadedModel | None = None, *, vector: Path | None = None
) -> Intervention:
    """Read the intervention of a request's `steer`, as JSON or parsed.

    vector: the local path of the file; default its `vector_path`. Only tensors are unpickled. model: needed for
    `optimal_layer` "all"; layers and width are checked. Raises `InputError`, also for the method adjust_rs, which sets
    a projection instead of adding a vector.
    """
    try:
        config = json.loads(steer) if isinstance(steer, str) else steer
        method, layers = config.get("method"), config["optimal_layer"]
        phase, positions = config.get("phase", "both"), config.get("positions")
        if positions is None:
            positions = "all_tokens" if config.get("apply_at_all_positions", True) else "last_token"
        coefficient, file = float(config.get("coefficient", 0)), vector or Path(config["vector_path"])
        if layers == "all":
            if model is None:
                raise InputError('optimal_layer is "all": pass model=... to say how many layers there are')
            layers = range(model.num_layers)
        numbers = sorted({int(layer) for layer in ([layers] if isinstance(layers, int | str) else layers)})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"no steer configuration of vLLM-Hook ({type(error).__name__}: {error})") from error
    scope = next((name for name, tokens in TOKENS.items() if tokens == (phase, positions)), None)
    if method != "add_vector" or scope is None or min(numbers, default=-1) < 0:
        raise InputError(
            f"method {method}, phase {phase}, positions {positions}, layers {numbers}: expected add_vector, layers "
            "from 0, and tokens that match a scope of Penchant"
        )
    edit = Edit(coefficient * _direction(file)[None])
    intervention = Intervention({Site(layer, "block"): edit for layer in numbers}, scope)
    if model is not None:
        check_model(intervention, model, str(file))
    return intervention


def _direction(path: Path) -> Tensor:
    check_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a damaged file the unpickler may raise anything
        raise InputError(
            f"{path} is damaged or holds more than tensors: write it again with torch.save({{'dir': tensor}}, path)"
        ) from error
    direction = content.get("dir") if isinstance(content, dict) else None
    if not isinstance(direction, Tensor) or not bool(direction.isfinite().all()) or direction.numel() == 0:
        raise InputError(f"{path} has no finite tensor 'dir': expected a vector of vLLM-Hook")
    return direction.float().reshape(-1)
