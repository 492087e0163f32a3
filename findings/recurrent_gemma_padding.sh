#!/bin/sh
# RecurrentGemma reads padding as text, in spite of the attention mask.
# Expected: padding on the left that attention_mask marks changes nothing of the real tokens, as for Llama, and as for Bamba,
# whose recurrent layers clear what the mask marks.
# What happens: the mask reaches RecurrentGemma's attention only. Its convolution and recurrence run over the padding too.
# position_ids that begin at the first real token reset the recurrence, but not the convolution, so the logits stay off;
# they are right only by luck, for a padding token whose embedding is zero.
# Seen with transformers 5.23.0 on torch 2.13.0 (CPU, float32).
# Why it matters: batched generation and batched likelihoods differ from those of each text alone, and nothing is raised.
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q transformers==5.23.0
"$v/bin/python" - <<'EOF'
import torch, transformers
from transformers import (BambaConfig, BambaForCausalLM, LlamaConfig, LlamaForCausalLM, RecurrentGemmaConfig,
                          RecurrentGemmaForCausalLM)

print("torch", torch.__version__, "transformers", transformers.__version__)
sizes = dict(vocab_size=100, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, initializer_range=0.2)
mamba = dict(mamba_n_heads=8, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=16, mamba_chunk_size=16)
kinds = {"llama": (LlamaForCausalLM, LlamaConfig(**sizes)),
         "bamba": (BambaForCausalLM, BambaConfig(**sizes, **mamba, attn_layer_indices=[1, 3])),
         "recurrent_gemma": (RecurrentGemmaForCausalLM,
                             RecurrentGemmaConfig(**sizes, head_dim=16, attention_window_size=64))}
ids = torch.arange(10, 34)[None]
mask = (torch.arange(31) >= 7).long()[None]
ways = {"mask": {}, "mask and positions": {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)}}
wrong = []
for name, (kind, config) in kinds.items():
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits
        for way, given in ways.items():
            padded = torch.cat([torch.full((1, 7), 7), ids], 1)
            found = model(padded, attention_mask=mask, use_cache=False, **given).logits[:, 7:]
            off = float((found - whole).abs().max() / whole.abs().max())
            print(f"{name:15} 7 tokens of padding, {way:18}: off by {off:.1e}")
            wrong += [(name, way)] if off > 1e-3 else []
expected = [("recurrent_gemma", way) for way in ways]
raise SystemExit(0 if wrong == expected else f"the behaviour has changed: wrong are {wrong}")
EOF
