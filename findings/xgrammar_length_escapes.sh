#!/bin/sh
# In xgrammar, a string with a length limit can hold no quotation mark, no line break and no backslash.
# Expected: maxLength bounds how long a string is, not what it holds. An escape (\", \n, \\) stands for one character, as in
# llguidance, and as in xgrammar's own strings without a limit.
# What happens: with minLength or maxLength, even with the harmless minLength 1 that schemas of required texts have, every
# escape is refused. The model can only end the string where it wanted to quote somebody. No warning says so.
# Seen with xgrammar 0.2.9 and llguidance 1.9.1.
# Why it matters: answers in JSON lose their paragraphs and quotations, and break off in the middle of a sentence. Penchant
# uses llguidance (src/penchant/serving/structured.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q transformers==5.23.0 xgrammar==0.2.9 llguidance==1.9.1
"$v/bin/python" - <<'PYTHON'
import json
from importlib.metadata import version

import llguidance, xgrammar

print("xgrammar", version("xgrammar"), "llguidance", version("llguidance"))
END = 256
vocabulary = [bytes([i]) for i in range(256)] + [b"</s>"]
compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(vocabulary, vocab_size=257, stop_token_ids=[END]))
tokenizer = llguidance.LLTokenizer("byte")

def by_xgrammar(schema, text):
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(schema)))
    return matcher.accept_string(text) and matcher.accept_token(END)

def by_llguidance(schema, text):
    matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    tokens = tokenizer.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()

values = ["plain", 'She said "yes".', "first line\nsecond line", "C:\\notes"]
limits = [{}, {"maxLength": 1000}, {"minLength": 1}]
found = {}
for limit in limits:
    for value in values:
        text = json.dumps(value)
        answers = by_xgrammar({"type": "string", **limit}, text), by_llguidance({"type": "string", **limit}, text)
        found[str(limit), value] = answers
        print(f"{str(limit):20} {text:32} xgrammar {answers[0]!s:5} llguidance {answers[1]}")
expected = {(str(limit), value): (not limit or value == "plain", True) for limit in limits for value in values}
raise SystemExit(0 if found == expected else "the behaviour has changed")
PYTHON
