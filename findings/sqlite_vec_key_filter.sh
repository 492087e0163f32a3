#!/bin/sh
# sqlite-vec applies a condition on the primary key after the search, one on any other column during it.
# Expected: "the 3 nearest among the rows with id > 10" gives three rows, as "the 3 nearest with number > 10" does for a
# metadata column, and as "id in (…)" does for the primary key itself.
# What happens: for id > 10, id != 4 or "between" the 3 nearest of all rows are found first, and those that don't meet the
# condition are left out: fewer rows, or none, though there are plenty. No error, no sign of it in the result.
# Seen with sqlite-vec 0.1.9, SQLite 3.54.1 (through apsw).
# Why it matters: "what this user said since message 1000" is a condition on the key, and a test with k as large as the table
# passes. Penchant searches in memory, among the rows of one user (src/penchant/index).
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

def vector(*values):
    return array("f", values).tobytes()

db.execute("create virtual table texts using vec0(id integer primary key, number integer, place float[2])")
for i in range(1, 21):  # the nearest to 0 are 1, 2, 3, …
    db.execute("insert into texts(id, number, place) values (?, ?, ?)", (i, i, vector(i, 0)))
conditions = {"": [1, 2, 3], "number > 10": [11, 12, 13], "id in (12, 15, 18)": [12, 15, 18], "number != 2": [1, 3, 4],
              "id > 10": [], "id between 3 and 9": [3], "id != 2": [1, 3]}
found = {}
for condition in conditions:
    query = f"select id from texts where place match ? and k = 3 {condition and 'and ' + condition} order by distance"
    found[condition] = [row[0] for row in db.execute(query, (vector(0, 0),))]
    print(f"3 nearest {condition and 'with ' + condition:24}: {found[condition]}")
raise SystemExit(0 if found == conditions else "the behaviour has changed")
PYTHON
