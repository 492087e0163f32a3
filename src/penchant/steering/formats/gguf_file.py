"""GGUF control vectors: what repeng exports and llama.cpp reads with --control-vector.

A file holds float32 tensors "direction.L" and adds them behind layers, at every token, prompt included. L is the layer
counted from 0, as in Penchant, in both programs: repeng trains direction.L on the output of layer L and adds it there
(repeng/extract.py and control.py at 021022a and 081318c); llama.cpp stores direction.L at offset (L - 1) and reads it
from there for layer L (common.cpp; src/llama-adapter.cpp at 0650ea8), so the two minus ones cancel. direction.0 can't
be expressed in llama.cpp, which refuses the whole file. llama.cpp's own cvector-generator writes the direction measured
after layer 0 as "direction.1" (tools/cvector-generator/mean.hpp at 5c5f166); such files are read as llama.cpp applies
them: at layer 1.

Tests read such files with `gguf.GGUFReader` and reproduce both programs with plain hooks. Checked once by hand on tiny
random models: repeng 0.4.0 gives the logits of `Runtime` bit for bit, in both directions (llama, qwen3, gemma3,
mistral); llama.cpp (build 11549, in xllamacpp 2026.10) gives the same log-probabilities within 0.012 for vectors that
change them by 2 to 3.4; without a vector, the two programs differ as much (llama).
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from penchant.errors import InputError
from penchant.inference.intervention import ALL, Edit, Intervention
from penchant.inference.sites import Site
from penchant.models.loading import LoadedModel
from penchant.steering.formats.blocks import block_vectors
from penchant.steering.formats.exported import (
    Export,
    Vector,
    check_file,
    check_fingerprint,
    check_model,
    needs_path,
    write_whole,
)

log = logging.getLogger(__name__)

ARCHITECTURE = "controlvector"


def write_gguf(
    intervention: Intervention,
    path: Path | None,
    model: LoadedModel | None = None,
    *,
    approximate: bool = False,
    model_hint: str | None = None,
    layer_0: bool = False,
) -> Export:
    """Write an intervention of one row as a control vector. Numbers become float32.

    model: determines whether attention and MLP sites can be moved after their layers exactly; its name and fingerprint
    are written to the file. approximate: approximate what the format can't express (see `block_vectors`; any scope
    becomes "all"); the notes are written to the file as `penchant.notes`. model_hint: default the model's type, as
    repeng writes it; no reader checks it. layer_0: write direction.0, for repeng and EasySteer; llama.cpp refuses such
    a file. Raises `InputError` for interventions that can't be expressed.
    """
    path = needs_path(path, "a control vector")
    notes = []
    if intervention.scope != ALL:
        notes.append(f"written at every token, not with scope {intervention.scope}")
        if not approximate:
            raise InputError(
                f"a control vector is added at every token: scope {intervention.scope!r} can't be expressed; "
                'use scope "all", or pass approximate=True'
            )
    if model is not None:
        check_model(intervention, model, "the intervention")
    blocks = block_vectors(intervention, model, approximate, "a control vector")
    notes.extend(blocks.notes)
    if 0 in blocks.vectors and not layer_0:
        raise InputError("llama.cpp can't add behind layer 0 and refuses such files: pass layer_0=True for repeng only")
    hint = model_hint or (str(model.model.config.model_type) if model is not None else "unknown")

    def write(partial: Path) -> None:
        writer = gguf.GGUFWriter(partial, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", hint)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(blocks.vectors))
        if model is not None:
            writer.add_string("penchant.model", model.name)
            writer.add_string("penchant.fingerprint", model.fingerprint)
        writer.add_string("penchant.notes", "; ".join(notes) or "exact")
        for layer, vector in blocks.vectors.items():
            writer.add_tensor(f"direction.{layer}", np.ascontiguousarray(vector.numpy()))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write_whole(path, write)
    return Export("gguf", path, notes=tuple(notes))


def read_gguf(
    path: Path, model: LoadedModel | None = None, *, other_model: bool = False, scope: str = ALL
) -> Intervention:
    """Read the intervention of a control vector, at strength 1: block sites, float32.

    scope: control vectors use "all"; other scopes don't change the prompt and cached prefixes. model: the model to use
    it with: layers and width are checked, and the fingerprint if the file has one (written by Penchant); needed for
    negative layers (counted from the last, which repeng allows). other_model: as for safetensors. Raises `InputError`.
    """
    check_file(path)
    try:
        fields, directions = _content(path)
    except InputError:
        raise
    except Exception as error:  # on a damaged file the parser may raise anything
        raise InputError(f"{path} is damaged or no GGUF file ({type(error).__name__}): get it anew") from error
    if not directions:
        raise InputError(f"{path} has no tensor direction.N: expected a control vector, not a model")
    edits = {}
    for number, vector in sorted(directions.items()):
        layer = number
        if number < 0:
            if model is None:
                raise InputError(
                    f"{path} counts layers from the last ({number}): pass model=... to say how many it has"
                )
            layer += model.num_layers
            log.warning("%s: direction.%d is added behind layer %d, counted from the last", path, number, layer)
        if layer < 0 or Site(layer, "block") in edits:
            raise InputError(
                f"{path} has direction.{number}, a layer that doesn't exist or occurs twice: repair the file"
            )
        edits[Site(layer, "block")] = Edit(vector[None])
    intervention = Intervention(edits, scope)
    if model is not None:
        if fields.get("penchant.fingerprint"):
            name, found = fields.get("penchant.model", "?"), fields["penchant.fingerprint"]
            check_fingerprint(found, name, model, str(path), other_model)
        check_model(intervention, model, str(path))
    return intervention


def _content(path: Path) -> tuple[dict[str, str], dict[int, Vector]]:
    """Return the text fields, and the directions by number. Raises `InputError`, and the errors of `GGUFReader`."""
    reader = gguf.GGUFReader(path)
    fields = {
        name: str(bytes(found.parts[-1]), "utf-8")
        for name, found in reader.fields.items()
        if found.types == [gguf.GGUFValueType.STRING]
    }
    architecture = fields.get("general.architecture", ARCHITECTURE)
    if architecture != ARCHITECTURE:
        raise InputError(f"{path} is a GGUF file of {architecture}: expected a control vector ({ARCHITECTURE})")
    directions = {}
    for tensor in reader.tensors:
        match = re.fullmatch(r"direction\.(-?\d+)", tensor.name)
        if match is None:
            raise InputError(f"{path} has a tensor {tensor.name}: a control vector has direction.N alone")
        directions[int(match[1])] = _vector(path, tensor)
    return fields, directions


def _vector(path: Path, tensor: Any) -> Vector:
    if tensor.data.dtype == np.float64:  # repeng writes it for a direction that was scaled by a NumPy number
        values = tensor.data.astype(np.float32)
    else:
        try:
            values = np.array(
                gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32
            )  # copied from the file
        except NotImplementedError as error:
            raise InputError(
                f"{path} has {tensor.name} in the format {tensor.tensor_type.name}: expected floating-point numbers"
            ) from error
    if values.size != tensor.n_elements or values.size != max(values.shape, default=0):
        raise InputError(f"{path} has {tensor.name} with shape {list(values.shape)}: expected one row of numbers")
    if not np.isfinite(values).all():
        raise InputError(f"{path} has numbers in {tensor.name} that aren't finite: get it anew")
    return torch.from_numpy(values.reshape(-1))
