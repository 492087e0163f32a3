#!/bin/sh
# gguf's writer leaves out empty texts and lists, and its reader flattens lists of lists.
# Expected: what is added to a GGUF file is in it. A key with an empty text or list is there, [[1, 2], [3]] is read as such,
# as the format has strings of length 0 and arrays of arrays.
# What happens: add_string with "" and add_array with [] write nothing, so a reader can't tell "empty" from "not said" and
# falls back on its default; for an array of arrays contents() gives one flat list. No exception, no warning.
# Seen with gguf 0.19.0.
# Why it matters: an empty chat template or an empty list of merges is a statement about the model. Penchant writes no empty
# values into its vectors (src/penchant/steering/formats/gguf_file.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q gguf==0.19.0
"$v/bin/python" - "$t/tiny.gguf" <<'PYTHON'
import logging, sys
from importlib.metadata import version

import gguf, numpy as np

heard = []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: heard.append(record.getMessage())
logging.getLogger().addHandler(handler)

print("gguf", version("gguf"))
values = {"text": "tea", "no text": "", "list": ["tea", "milk"], "no list": [], "pairs": [["tea", "milk"], ["water"]],
          "numbers": [[1, 2], [3]]}
writer = gguf.GGUFWriter(sys.argv[1], "tiny")
for key, value in values.items():
    (writer.add_string if isinstance(value, str) else writer.add_array)(f"tiny.{key}", value)
writer.add_tensor("weight", np.ones(4, np.float32))
writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()

reader = gguf.GGUFReader(sys.argv[1])
found = {}
for key, value in values.items():
    field = reader.get_field(f"tiny.{key}")
    found[key] = "absent" if field is None else field.contents()
    print(f"{key:8} written {value!r:32} read {found[key]!r}")
print("warnings:", heard)
expected = {**values, "no text": "absent", "no list": "absent", "pairs": ["tea", "milk", "water"], "numbers": [1, 2, 3]}
raise SystemExit(0 if found == expected and not heard else "the behaviour has changed")
PYTHON
