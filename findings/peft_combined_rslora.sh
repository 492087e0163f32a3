#!/bin/sh
# peft's add_weighted_adapter makes rank-stabilised adapters too strong by the square root of the rank.
# Expected: an adapter combined of one alone, with weight 1, is that adapter. Two joined by "cat" are the sum of both.
# What happens: the scale of each part is worked into its matrices, and the new adapter gets an alpha that would make its own
# scale 1; but it also takes over use_rslora, under which that alpha gives a scale of √r. A copy of an
# adapter of rank 16 is four times as strong; two of rank 8, joined to one of 16, are four times their sum. Nothing is said.
# Seen with peft 0.21.2, transformers 5.23.0 on torch 2.13.0 (CPU, float32).
# Why it matters: a mixture of adapters, one for each trait of a user, looks like one that was weighted badly. Penchant leaves
# adapters as they were saved and takes their scales into the model's identity.
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q transformers==5.23.0 peft==0.21.2
"$v/bin/python" - <<'PYTHON'
import peft, torch, transformers
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

torch.set_grad_enabled(False)
print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__)

def strengths(stabilised, rank):
    """How strong the combined adapters are, relative to what they were combined of."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=40, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4)
    lora = LoraConfig(r=rank, lora_alpha=8, use_rslora=stabilised, target_modules=["q_proj"], init_lora_weights=False)
    model = get_peft_model(LlamaForCausalLM(config), lora, adapter_name="first")
    model.add_adapter("second", lora)
    model.add_weighted_adapter(["first"], [1.0], "copy", combination_type="linear")
    model.add_weighted_adapter(["first", "second"], [1.0, 1.0], "sum", combination_type="cat")
    first, second, copy, both = (model.base_model.model.model.layers[0].self_attn.q_proj.get_delta_weight(name)
                                 for name in ("first", "second", "copy", "sum"))
    assert torch.nn.functional.cosine_similarity(copy.flatten(), first.flatten(), dim=0) > 0.9999
    return float(copy.norm() / first.norm()), float(both.norm() / (first + second).norm())

right = True
for rank in (4, 16):
    for stabilised in (False, True):
        copy, both = strengths(stabilised, rank)
        print(f"rank {rank:2} use_rslora {stabilised!s:5}: one adapter with weight 1 is {copy:.3f} times itself, "
              f"two by cat {both:.3f} times their sum")
        expected = (rank**0.5, (2 * rank) ** 0.5) if stabilised else (1.0, 1.0)
        right &= abs(copy - expected[0]) < 1e-3 and abs(both - expected[1]) < 1e-3
raise SystemExit(0 if right else "the behaviour has changed")
PYTHON
