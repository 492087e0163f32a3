#!/bin/sh
# In sqlite-vec, a vector of zeros can hide the nearest one, if it was stored earlier.
# Expected: with distance_metric=cosine the distance from a vector of zeros is undefined: storing it is refused, or it comes
# behind all others. What is found doesn't depend on the order in which the rows were stored.
# What happens: its distance is NULL and compares as neither nearer nor farther, so it stays where it stood: stored first, it
# is the nearest of all and the only result of k = 1, before a row at distance 0; stored last, it comes last.
# Seen with sqlite-vec 0.1.9, SQLite 3.54.1 (through apsw).
# Why it matters: an empty text, or one of unknown words only, is all zeros for many embeddings; one such row at the start of
# a table spoils every search. In Penchant such a vector is similar to none (src/penchant/inference/sentence_encoder.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q sqlite-vec==0.1.9 apsw==3.54.1.0
"$v/bin/python" - <<'PYTHON'
from array import array
from importlib.metadata import version

import apsw, sqlite_vec

print("sqlite-vec", version("sqlite-vec"), "SQLite", apsw.sqlite_lib_version())
db = apsw.Connection(":memory:")
db.enable_load_extension(True)
db.load_extension(sqlite_vec.loadable_path())
places = {"same": (1, 0), "slanted": (1, 1), "across": (0, 1), "zeros": (0, 0)}

def vector(name):
    return array("f", places[name]).tobytes()

def search(stored, k):
    """The k nearest to "same", in a table that was filled in this order."""
    db.execute("create virtual table texts using vec0(id integer primary key, place float[2] distance_metric=cosine)")
    for i, name in enumerate(stored):
        db.execute("insert into texts(id, place) values (?, ?)", (i, vector(name)))
    query = "select id, distance from texts where place match ? and k = ?"
    rows = [(stored[i], distance) for i, distance in db.execute(query, (vector("same"), k))]
    db.execute("drop table texts")
    return rows

found = {}
for stored in (("zeros", "same", "slanted", "across"), ("same", "zeros", "slanted", "across"),
               ("same", "slanted", "across", "zeros")):
    for k in (1, 4):
        rows = search(stored, k)
        found[stored.index("zeros"), k] = [name for name, _ in rows]
        print(f"stored {', '.join(stored):29} k={k}:", *(f"{name} {distance}," for name, distance in rows))
expected = {(0, 1): ["zeros"], (0, 4): ["zeros", "same", "slanted", "across"], (1, 1): ["same"],
            (1, 4): ["same", "zeros", "slanted", "across"], (3, 1): ["same"], (3, 4): ["same", "slanted", "across", "zeros"]}
raise SystemExit(0 if found == expected else "the behaviour has changed")
PYTHON
