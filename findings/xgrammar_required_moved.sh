#!/bin/sh
# xgrammar moves a requirement to another property when the required name isn't among the properties.
# Expected: "required" names what an object must have, whether or not "properties" describes it. {"z": 1} satisfies
# required ["z"] beside an optional a, {"a": 1} doesn't: so says JSON Schema, and llguidance does so.
# What happens: xgrammar counts the required names, and asks for as many of the described properties. It accepts {"a": 1},
# where z is missing, and refuses {"z": 1} and {}: a has become required in place of z. The same with strict_mode=False, with
# additionalProperties described, and without a warning.
# Seen with xgrammar 0.2.9 and llguidance 1.9.1.
# Why it matters: schemas are put together by "allOf" and by hand; here the answer of the model is valid for the decoder only.
# Penchant uses llguidance (src/penchant/serving/structured.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q transformers==5.23.0 xgrammar==0.2.9 llguidance==1.9.1 jsonschema==4.26.0
"$v/bin/python" - <<'PYTHON'
import json
from importlib.metadata import version

import jsonschema, llguidance, xgrammar

print(*(f"{name} {version(name)}" for name in ("xgrammar", "llguidance", "jsonschema")))
END = 256
vocabulary = [bytes([i]) for i in range(256)] + [b"</s>"]
compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(vocabulary, vocab_size=257, stop_token_ids=[END]))
tokenizer = llguidance.LLTokenizer("byte")
integer = {"type": "integer"}
schema = {"type": "object", "properties": {"a": integer}, "required": ["z"], "additionalProperties": integer}

def by_xgrammar(text, **options):
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(schema), **options))
    return matcher.accept_string(text) and matcher.accept_token(END)

def by_llguidance(text):
    matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    tokens = tokenizer.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()

found = {}
for text in ("{}", '{"a": 1}', '{"z": 1}', '{"a": 1, "z": 1}'):
    valid = jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
    found[text] = valid, by_llguidance(text), by_xgrammar(text), by_xgrammar(text, strict_mode=False)
    print(f"{text:18} jsonschema {valid!s:5} llguidance {found[text][1]!s:5} xgrammar {found[text][2]!s:5} "
          f"not strict {found[text][3]}")
expected = {"{}": (False,) * 4, '{"a": 1}': (False, False, True, True), '{"z": 1}': (True, True, False, False),
            '{"a": 1, "z": 1}': (True,) * 4}
raise SystemExit(0 if found == expected else "the behaviour has changed")
PYTHON
