#!/bin/sh
# outlines-core turns some schemas into patterns that no JSON text matches.
# Expected: build_regex_from_schema gives a pattern of JSON texts. It may be looser than the schema, or refuse it.
# What happens: the parts of "allOf" are written one after another, so the pattern asks for two values side by side; a
# quotation mark in a property's name or in a "pattern" isn't escaped, so the pattern asks for a string that ends too early.
# What json.loads reads is refused, what it can't read is accepted, and nothing is raised.
# Seen with outlines-core 0.2.14.
# Why it matters: constrained decoding is trusted to give JSON; allOf is how schemas are put together, and a name in
# quotation marks is an ordinary key of a dictionary. Penchant uses llguidance (src/penchant/serving/structured.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q outlines-core==0.2.14
"$v/bin/python" - <<'PYTHON'
import json, re
from importlib.metadata import version

from outlines_core.json_schema import build_regex_from_schema

print("outlines-core", version("outlines-core"))

def is_json(text):
    try:
        return bool(json.loads(text))
    except json.JSONDecodeError:
        return False

name = 'the "new" one'
cases = {
    "allOf": ({"allOf": [{"type": "string", "minLength": 1}, {"type": "string", "maxLength": 9}]}, '"tea"', '"tea""tea"'),
    "name": ({"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]},
             json.dumps({name: 2}), '{"the "new" one": 2}'),
    "pattern": ({"type": "string", "pattern": '^"[a-z]+"$'}, json.dumps('"tea"'), '""tea""'),
}
found = {}
for case, (schema, right, wrong) in cases.items():
    pattern = build_regex_from_schema(json.dumps(schema))
    found[case] = [(is_json(text), re.fullmatch(pattern, text) is not None) for text in (right, wrong)]
    for text, (loads, matches) in zip((right, wrong), found[case]):
        print(f"{case:8} {text:24} json.loads {'reads it' if loads else 'raises':8} "
              f"the pattern {'accepts' if matches else 'refuses'} it")
expected = [(True, False), (False, True)]
raise SystemExit(0 if all(answers == expected for answers in found.values()) else "the behaviour has changed")
PYTHON
