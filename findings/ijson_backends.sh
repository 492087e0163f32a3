#!/bin/sh
# ijson's two backends read the same valid JSON differently.
# Expected: the backend decides about speed. Both read what the standard library's json reads, to the same values.
# What happens: the C backend (what `import ijson` takes where its wheel is installed) turns an escaped surrogate without its
# partner into the character '?', the Python backend keeps it as json does. With use_float=True the C backend refuses a
# whole number beyond 64 bits, which the Python backend reads, and which the C backend reads without use_float.
# Seen with ijson 3.6.0 (its yajl2_c and python backends).
# Why it matters: exported chats hold halves of emoji that some client cut, and ids of 20 digits. The '?' cannot be told from
# one that the user typed, so text that is compared or erased by its content no longer matches the export.
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q ijson==3.6.0
"$v/bin/python" - <<'EOF'
import io, json
import ijson

print("ijson", ijson.__version__, "default backend", ijson.backend)

def read(backend, text, **options):
    try:
        return next(ijson.get_backend(backend).items(io.BytesIO(text), "", **options))
    except ijson.JSONError as error:
        return type(error).__name__

cases = {"surrogate": (rb'["cut \ud83d"]', {}), "number": (b"[12345678901234567890]", {}),
         "number, use_float": (b"[12345678901234567890]", {"use_float": True})}
found = {}
for name, (text, options) in cases.items():
    found[name] = [json.loads(text), read("python", text, **options), read("yajl2_c", text, **options)]
    print(f"{name:18} json {found[name][0]!a}  python {found[name][1]!a}  yajl2_c {found[name][2]!a}")
half, whole = ["cut \ud83d"], [12345678901234567890]
expected = {"surrogate": [half, half, ["cut ?"]], "number": [whole] * 3,
            "number, use_float": [whole, whole, "IncompleteJSONError"]}
raise SystemExit(0 if found == expected and ijson.backend == "yajl2_c" else "the behaviour has changed")
EOF
