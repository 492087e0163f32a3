#!/bin/sh
# transformers' server can't list its models until something has been downloaded from the hub.
# Expected: `transformers serve DIRECTORY` serves a local model; GET /v1/models lists it, or nothing, with status 200.
# What happens: on a machine without a hub cache, chat completions work, but GET /v1/models answers 500 (CacheNotFound).
# The body is plain text, not OpenAI's error object; with an empty cache folder the list is empty: the model that is
# being served isn't in it.
# Seen with transformers 5.23.0, huggingface_hub as it resolves, on torch 2.13.0 (CPU).
# Why it matters: clients call /v1/models first (Open WebUI does, and checks of whether a server is up). Penchant's
# measurement (src/penchant_lab/serving/speed.py) asks /health instead.
set -eu
t=$(mktemp -d) && trap 'kill $(cat "$t/pid" 2>/dev/null) 2>/dev/null || true; rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q 'transformers[serving]==5.23.0' accelerate==1.15.0
cd "$t"
"$v/bin/python" - <<'EOF'
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

words = ["<unk>", "<eos>", *"abcdefghijklmnopqrstuvwxyz"]
plain = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Split("", "isolated")
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", eos_token="<eos>")
tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}"
tokenizer.save_pretrained("model")
torch.manual_seed(0)
config = LlamaConfig(vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                     num_attention_heads=2, num_key_value_heads=2, eos_token_id=1, pad_token_id=1)
LlamaForCausalLM(config).save_pretrained("model")
EOF
export HF_HOME="$t/hub" HF_HUB_OFFLINE=1 # nothing was ever downloaded
"$v/bin/transformers" serve "$t/model" --host 127.0.0.1 --port "${PORT:-8791}" >"$t/log" 2>&1 &
echo $! >"$t/pid"
"$v/bin/python" - "${PORT:-8791}" "$t/model" "$t/hub" <<'EOF'
import json, sys, time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import transformers

port, model, hub = sys.argv[1:]


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    asked = Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    try:
        with urlopen(asked, timeout=120) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


for _ in range(240):
    try:
        if call("/health")[0] == 200:
            break
    except URLError:
        time.sleep(0.5)
print("transformers", transformers.__version__)
asked = {"model": model, "messages": [{"role": "user", "content": "abc"}], "max_tokens": 2}
answered, said = call("/v1/chat/completions", asked)
print("POST /v1/chat/completions:", answered, said[:60])
before = call("/v1/models")
print("GET /v1/models, no cache folder:", *before)
Path(hub, "hub").mkdir(parents=True)
after = call("/v1/models")
print("GET /v1/models, an empty cache folder:", *after)
same = answered == 200 and before[0] == 500 and after[0] == 200 and model not in after[1]
raise SystemExit(0 if same else "the behaviour has changed")
EOF
