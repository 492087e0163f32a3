#!/bin/sh
# Positions that jump cut one text into several, unless an attention mask of ones is passed.
# Expected: position_ids say where tokens stand. An attention mask of ones says nothing, as leaving it out does.
# What happens: with position_ids and neither a mask nor a cache, transformers takes every jump for the start of another text
# packed into the same row, and hides what is in front of it. A mask of ones, or use_cache=True (the default), turns that off
# and gives other logits.
# Seen with transformers 5.23.0 on torch 2.13.0 (CPU, float32); any model that makes its masks by masking_utils.
# Why it matters: whoever leaves a gap in the positions (a prefix at shared positions, segments that are left out, position
# interpolation) reads each part without the others. Nothing is raised. Pass the mask of ones.
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q transformers==5.23.0
"$v/bin/python" - <<'EOF'
import torch, transformers
from transformers import LlamaConfig, LlamaForCausalLM

print("torch", torch.__version__, "transformers", transformers.__version__)
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(vocab_size=100, hidden_size=64, intermediate_size=96, num_hidden_layers=4,
                                     num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2)).eval()
ids = torch.arange(5, 29)[None]
jump = torch.cat([torch.arange(12), torch.arange(40, 52)])[None]  # a gap in the middle of one text

@torch.no_grad()
def logits(tokens, **given):
    return model(tokens, **given).logits

masked = logits(ids, position_ids=jump, attention_mask=torch.ones_like(ids), use_cache=False)
found = {
    "no mask, no cache": logits(ids, position_ids=jump, use_cache=False),
    "no mask, a cache": logits(ids, position_ids=jump, use_cache=True),
    "no gap, no mask, no cache": logits(ids, use_cache=False),
    "no gap, a mask of ones": logits(ids, attention_mask=torch.ones_like(ids), use_cache=False),
}
second_alone = logits(ids[:, 12:], position_ids=jump[:, 12:], attention_mask=torch.ones(1, 12).long(), use_cache=False)

def off(one, other):
    return float((one - other).abs().max() / other.abs().max())

packed = off(found["no mask, no cache"], masked)
alone = off(found["no mask, no cache"][:, 12:], second_alone)
cached = off(found["no mask, a cache"], masked)
plain = off(found["no gap, no mask, no cache"], found["no gap, a mask of ones"])
print(f"a gap, no mask and no cache, against a mask of ones: off by {packed:.1e}")
print(f"   its second half against that half read alone:     off by {alone:.1e}")
print(f"a gap, no mask but use_cache, against a mask:        off by {cached:.1e}")
print(f"no gap, no mask against a mask:                      off by {plain:.1e}")
same = packed > 0.01 and alone < 1e-4 and cached < 1e-4 and plain < 1e-4
raise SystemExit(0 if same else "the behaviour has changed")
EOF
