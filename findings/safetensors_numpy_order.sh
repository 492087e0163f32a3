#!/bin/sh
# safetensors.numpy scrambles arrays that aren't in C order.
# Expected: a loaded array has the values of the saved one, whatever its layout in memory, or saving raises, as the torch
# side of the library does for a transposed tensor.
# What happens: the memory is written as it lies, under the shape that the array has. A transposed matrix or a factor
# from scikit-learn comes back with the same numbers in other places. Nothing is raised; shape, sum and norm are right.
# Seen with safetensors 0.8.0, numpy 2.4.6.
# Why it matters: a basis from a decomposition (steering directions, a projection of sentence vectors) is typically in
# Fortran order, and a scrambled one still has the norm it should have. Penchant saves through safetensors.torch only.
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q safetensors==0.8.0 numpy==2.4.6 scikit-learn==1.9.1
"$v/bin/python" - <<'PYTHON'
import numpy as np, safetensors, sklearn
from safetensors.numpy import load, save
from sklearn.decomposition import PCA

print("safetensors", safetensors.__version__, "numpy", np.__version__, "scikit-learn", sklearn.__version__)
table = np.arange(6.0).reshape(2, 3)
texts = np.random.default_rng(0).normal(size=(40, 4))
arrays = {"C order": table, "transposed": table.T, "Fortran order": np.asfortranarray(table),
          "PCA components": PCA(3, svd_solver="full").fit(texts).components_}
found = {}
for name, array in arrays.items():
    back = load(save({"a": array}))["a"]
    same_numbers = back.shape == array.shape and np.isclose(np.linalg.norm(back), np.linalg.norm(array))
    found[name] = bool(np.array_equal(back, array))
    print(f"{name:15} C-contiguous {array.flags.c_contiguous!s:5} comes back equal: {found[name]!s:5} "
          f"same shape and norm: {same_numbers}")
print("transposed was", table.T.tolist(), "is", load(save({"a": table.T}))["a"].tolist())
raise SystemExit(0 if found == {name: name == "C order" for name in arrays} else "the behaviour has changed")
PYTHON
