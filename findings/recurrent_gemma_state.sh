#!/bin/sh
# RecurrentGemma keeps its recurrent state in the model, not in the cache.
# Expected: past_key_values is all that a conversation carries from one pass to the next. Two conversations with a cache each
# can be continued in turn, as with Llama and with Bamba, whose recurrent layers keep their states in the cache.
# What happens: RecurrentGemma's convolution and recurrence are kept in attributes of its modules. A pass over another text
# between two steps replaces them (or clears them, without a cache), and the conversation goes on from the other one's state:
# the logits are off by 6 % of the largest. Nothing is raised. One conversation at a time is right.
# Seen with transformers 5.23.0 on torch 2.13.0 (CPU, float32).
# Why it matters: a server that streams to two users in turn mixes what they said; a test with one conversation passes.
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q transformers==5.23.0
"$v/bin/python" - <<'EOF'
import torch, transformers
from transformers import (BambaConfig, BambaForCausalLM, DynamicCache, LlamaConfig, LlamaForCausalLM, RecurrentGemmaConfig,
                          RecurrentGemmaForCausalLM)

print("torch", torch.__version__, "transformers", transformers.__version__)
sizes = dict(vocab_size=100, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, initializer_range=0.2)
mamba = dict(mamba_n_heads=8, mamba_d_head=16, mamba_n_groups=1, mamba_d_state=16, mamba_chunk_size=16)
kinds = {"llama": (LlamaForCausalLM, LlamaConfig(**sizes)),
         "bamba": (BambaForCausalLM, BambaConfig(**sizes, **mamba, attn_layer_indices=[1, 3])),
         "recurrent_gemma": (RecurrentGemmaForCausalLM,
                             RecurrentGemmaConfig(**sizes, head_dim=16, attention_window_size=64))}
texts = [torch.arange(5, 29)[None], torch.arange(60, 84)[None]]

@torch.no_grad()
def off(model, conversations):
    """Largest difference of cached logits, all conversations in turn, from those of each alone without a cache."""
    whole = [model(ids, use_cache=False).logits for ids in texts]
    caches, worst = [DynamicCache(config=model.config) for _ in texts], 0.0
    for start, end in [(0, 17), *((n, n + 1) for n in range(17, 24))]:
        for i in range(conversations):
            found = model(texts[i][:, start:end], position_ids=torch.arange(start, end)[None], past_key_values=caches[i],
                          use_cache=True).logits
            worst = max(worst, float((found - whole[i][:, start:end]).abs().max() / whole[i].abs().max()))
    return worst

wrong = []
for name, (kind, config) in kinds.items():
    torch.manual_seed(0)
    model = kind(config).eval()
    for conversations in (1, 2):
        found = off(model, conversations)
        print(f"{name:15} {conversations} conversation{'s in turn' if conversations > 1 else '':9}: off by {found:.1e}")
        wrong += [(name, conversations)] if found > 1e-3 else []
raise SystemExit(0 if wrong == [("recurrent_gemma", 2)] else f"the behaviour has changed: wrong are {wrong}")
EOF
