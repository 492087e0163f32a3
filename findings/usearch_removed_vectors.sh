#!/bin/sh
# A vector that usearch removed, even with compact=True, is in the file that is saved next, and automatic keys break.
# Expected: remove(key, compact=True) gives up the place of the vector: save() writes the others only. add(None, vector)
# chooses a free key, also after a removal.
# What happens: the vector is no longer found by key or by search, but save() writes it in full, with compact=True as well,
# and so does save() of a copy(); it goes when a later vector is added in its place. The automatic key is the number of
# vectors: after any removal but that of the last key it is one that is taken, and add() raises.
# Seen with usearch 2.26.6.
# Why it matters: a sentence vector tells much of its sentence, so an erasure has to reach it. Penchant searches its own files
# for what it erased (src/penchant/store/erasure).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q usearch==2.26.6 numpy==2.4.6
"$v/bin/python" - "$t/index" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np, usearch
from usearch.index import Index

print("usearch", usearch.__version__)
file = Path(sys.argv[1])
secret = np.linspace(3, 4, 8, dtype=np.float32)
others = np.eye(8, dtype=np.float32)

def filled():
    index = Index(ndim=8, metric="l2sq", dtype="f32")
    index.add([7, 8, 9], np.stack([secret, others[0], others[1]]))
    return index

def kept(index):
    index.save(file)
    return secret.tobytes() in file.read_bytes()

found = {}
for compact in (False, True):
    index = filled()
    index.remove(7, compact=compact)
    found[f"compact={compact}"] = 7 in index, 7 in index.search(secret, 3).keys, kept(index)
found["copied"] = 7 in index, 7 in index.search(secret, 3).keys, kept(index.copy())
index.add(10, others[2])
found["after another add"] = 7 in index, 7 in index.search(secret, 3).keys, kept(index)
for case, (known, searched, stored) in found.items():
    print(f"removed, {case:18} key known {known}, found by search {searched}, in the saved file {stored}")

index = Index(ndim=8, metric="l2sq", dtype="f32")
keys = index.add(None, others[:3]).tolist()
index.remove(0)
try:
    automatic = index.add(None, others[3])
except RuntimeError as error:
    automatic = f"raises: {error}"
print("automatic keys", keys, "; after remove(0):", automatic)
expected = {"compact=False": (False, False, True), "compact=True": (False, False, True),
            "copied": (False, False, True), "after another add": (False, False, False)}
raise SystemExit(0 if found == expected and str(automatic).startswith("raises") else "the behaviour has changed")
PYTHON
