"""Tiny random models of several decoder families, and one small real tokenizer, built in code.

Weights are spread widely enough (initializer_range 0.2, norms and biases shaken) that attention is far from uniform and
a forgotten norm or bias shows.
"""

from __future__ import annotations

from functools import cache

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from penchant.models.loading import LoadedModel, wrap_model
from penchant_lab.families.configs import FAMILIES
from penchant_lab.families.sizes import VOCABULARY, WINDOW

PAD, END, TURN_END = "<|pad|>", "<|end|>", "<|turn_end|>"
ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}" + TURN_END + "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

SAMPLE_TEXT = [
    "I am allergic to peanuts and I like long walks by the sea.",
    "The meeting is on Tuesday at ten, please bring the report.",
    "What should I read next? Something short, and not too sad.",
    "She wrote three letters about the film and the cooking.",
]


@cache
def _backend() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, TURN_END, *ROLE_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SAMPLE_TEXT, trainer)
    return tokenizer.to_str()


def tiny_tokenizer(chat: bool = True) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text round-trips. No token is put in front of a text. `chat=False`: no chat template."""
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(_backend()),
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[TURN_END, *ROLE_TOKENS],
        model_max_length=WINDOW,
        clean_up_tokenization_spaces=False,
    )
    if chat:
        tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_config(family: str, layers: int = 4) -> PreTrainedConfig:
    return FAMILIES[family].config(layers)


def tiny_network(family: str, seed: int = 0, dtype: torch.dtype = torch.float32, layers: int = 4) -> PreTrainedModel:
    """A freshly made model of `family`; the same seed gives the same weights, the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            tiny_config(family, layers), dtype=torch.float32
        )
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.2 * torch.randn_like(parameter))
    for parameter in model.parameters():  # not model.to(dtype): that would round the rotary frequencies
        parameter.data = parameter.data.to(dtype)
    model.config.dtype = dtype
    return model


def tiny(
    family: str = "llama", seed: int = 0, dtype: torch.dtype = torch.float32, layers: int = 4, chat: bool = True
) -> LoadedModel:
    """A tiny random `LoadedModel` on the CPU: hidden 64, 4 heads (2 key heads, or 1), window 512, vocabulary 380."""
    return wrap_model(tiny_network(family, seed, dtype, layers), tiny_tokenizer(chat), f"tiny-{family}")
