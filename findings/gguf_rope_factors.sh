#!/bin/sh
# A GGUF's rotary factors are dropped without a word.
# Expected: llama.cpp's converter writes the rotary scaling of Llama 3.1 and later as a tensor, rope_freqs.weight: one
# factor for each pair of dimensions. A reader applies the factors, or says that it doesn't.
# What happens: transformers loads the file with the unscaled frequencies. The loading report names neither the tensor nor
# any other that its table doesn't have (a bias here), and nothing is logged as a warning: the logits are another model's,
# from the first tokens on and more with every further one.
# Seen with transformers 5.23.0, gguf 0.19.0 on torch 2.13.0 (CPU, float32).
# Why it matters: the most used GGUF files are of this family. Penchant puts the factors into the configuration and refuses
# tensors and settings that find no place (src/penchant/models/gguf_metadata.py, unused.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q torch==2.13.0
"$v/bin/pip" install -q transformers==5.23.0 gguf==0.19.0 accelerate==1.15.0
"$v/bin/python" - "$t/tiny.gguf" <<'PYTHON'
import logging, sys
from importlib.metadata import version
import gguf, numpy as np, torch, transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.set_grad_enabled(False)
print("transformers", transformers.__version__, "gguf", version("gguf"))
heard = []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: heard.append(record.getMessage())
transformers.logging.add_handler(handler)

torch.manual_seed(0)
sizes = dict(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=4, max_position_embeddings=512, initializer_range=0.2, tie_word_embeddings=True)
network = LlamaForCausalLM(LlamaConfig(**sizes)).eval()
factors = np.linspace(1, 32, 8, dtype=np.float32)

writer = gguf.GGUFWriter(sys.argv[1], "llama")
writer.add_name("tiny")
writer.add_block_count(2), writer.add_context_length(512), writer.add_embedding_length(64), writer.add_vocab_size(64)
writer.add_feed_forward_length(96), writer.add_head_count(4), writer.add_head_count_kv(4)
writer.add_layer_norm_rms_eps(1e-6), writer.add_rope_freq_base(10000.0), writer.add_rope_dimension_count(16)
state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
writer.add_tensor("output_norm.weight", state["model.norm.weight"])
writer.add_tensor("rope_freqs.weight", factors)
names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
for layer in range(2):
    writer.add_tensor(f"blk.{layer}.attn_v.bias", np.ones(64, np.float32))
    for ours, theirs in names.items():
        weight = state[f"model.layers.{layer}.{ours}.weight"]
        if theirs in ("attn_q", "attn_k"):  # rotary pairs side by side, as llama.cpp has them
            weight = np.ascontiguousarray(weight.reshape(4, 2, 8, 64).swapaxes(1, 2).reshape(64, 64))
        writer.add_tensor(f"blk.{layer}.{theirs}.weight", weight)
writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()

folder, _, name = sys.argv[1].rpartition("/")
loaded, report = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32, output_loading_info=True)
ids = torch.arange(60)[None]
unscaled = float((loaded(ids).logits - network(ids).logits).abs().max())
buffer = network.model.rotary_emb.inv_freq
buffer.div_(torch.from_numpy(factors))
scaled = float((loaded(ids).logits - network(ids).logits).abs().max())
quiet = not any(report.values()) and not any("rope" in line or "bias" in line for line in heard)
print("tensors in the file that the model lacks: rope_freqs.weight, blk.0.attn_v.bias, blk.1.attn_v.bias")
print("report:", {key: sorted(value) for key, value in report.items()}, "; warnings:", heard)
print(f"largest difference of the logits from the model without factors {unscaled:.1e}, with factors {scaled:.1e}")
raise SystemExit(0 if quiet and unscaled < 1e-3 < 0.1 < scaled else "the behaviour has changed")
PYTHON
