#!/bin/sh
# usearch's int8 indexes forget how long a vector is, whatever the metric.
# Expected: dtype="i8" stores vectors more coarsely. The order by squared distance ("l2sq") or inner product ("ip") stays about
# that of float32, at least between vectors of which one is five times the other.
# What happens: every vector is brought to unit length before it is rounded, and so is the query. v, 5v and v/100 are stored
# as the same bytes, all three at the same distance from any query, and distances are in units of the int8 values. With bf16
# and f16 it is as expected.
# Seen with usearch 2.26.6.
# Why it matters: with embeddings that aren't of unit length (or relevance worked into their length) the ranking is another
# one, without a word. Penchant keeps its sentence vectors in float32 (src/penchant/index/vectors.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q usearch==2.26.6 numpy==2.4.6
"$v/bin/python" - <<'PYTHON'
import numpy as np, usearch
from usearch.index import Index

print("usearch", usearch.__version__)
vector = np.linspace(0.1, 0.8, 8, dtype=np.float32)
factors = (1.0, 5.0, 0.01)
vectors = np.stack([factor * vector for factor in factors])
found = {}
for metric in ("l2sq", "ip"):
    for kind in ("f32", "bf16", "f16", "i8"):
        index = Index(ndim=8, metric=metric, dtype=kind)
        index.add(np.arange(3), vectors)
        matches = index.search(vectors[1], 3)
        distances = dict(zip(matches.keys.tolist(), matches.distances.tolist()))
        found[metric, kind] = len(set(distances.values())) == 1
        print(f"{metric:5} {kind:5} distances from 5v:", *(f"{factors[key]:g}v {distances[key]:.2f}" for key in range(3)))
stored = {bytes(np.asarray(index.get(key)).tobytes()) for key in range(3)}
print("different int8 vectors stored:", len(stored))
right = found == {key: key[1] == "i8" for key in found} and len(stored) == 1
raise SystemExit(0 if right else "the behaviour has changed")
PYTHON
