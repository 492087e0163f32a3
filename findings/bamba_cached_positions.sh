#!/bin/sh
# Bamba behind a cache counts positions from 0 again.
# Expected: a decoder that gets a cache and no position_ids counts on from what is cached, as Llama and the rest do, so
# that reading a text in parts gives the logits of reading it at once.
# What happens: Bamba takes arange(new tokens): every cached step is read at position 0. Attention is rotated wrongly,
# nothing is raised, and the logits are off by more than half of the largest one. `generate` passes positions itself and is
# right; a decoding loop of one's own is not. With position_ids the two agree.
# Seen with transformers 5.23.0 on torch 2.13.0 (CPU, float32).
# Why it matters: a loop that works with Llama writes fluent but wrong text with a hybrid. Always pass position_ids.
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q transformers==5.23.0
"$v/bin/python" - <<'EOF'
import torch, transformers
from transformers import BambaConfig, BambaForCausalLM, LlamaConfig, LlamaForCausalLM

print("torch", torch.__version__, "transformers", transformers.__version__)
sizes = dict(vocab_size=100, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, initializer_range=0.2)
mamba = dict(mamba_n_heads=8, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=16, mamba_chunk_size=16)
kinds = {"llama": (LlamaForCausalLM, LlamaConfig(**sizes)),
         "bamba": (BambaForCausalLM, BambaConfig(**sizes, **mamba, attn_layer_indices=[1, 3]))}

@torch.no_grad()
def off(model, positions):
    """Largest difference of the cached logits from the uncached, as a part of the largest logit."""
    ids, cache, parts = torch.arange(5, 29)[None], None, []
    whole = model(ids, use_cache=False).logits
    for start, end in [(0, 17), *((n, n + 1) for n in range(17, 24))]:
        given = {"position_ids": torch.arange(start, end)[None]} if positions else {}
        out = model(ids[:, start:end], past_key_values=cache, use_cache=True, **given)
        cache, parts = out.past_key_values, [*parts, out.logits]
    return float((torch.cat(parts, 1) - whole).abs().max() / whole.abs().max())

found = {}
for name, (kind, config) in kinds.items():
    torch.manual_seed(0)
    model = kind(config).eval()
    for positions in (False, True):
        found[name, positions] = off(model, positions)
        print(f"{name:6} position_ids {'given' if positions else 'left out':8}: off by {found[name, positions]:.1e}")
wrong = [key for key, value in found.items() if value > 1e-3]
raise SystemExit(0 if wrong == [("bamba", False)] else f"the behaviour has changed: wrong are {wrong}")
EOF
