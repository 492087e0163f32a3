"""A tiny random sentence encoder."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tiny_encoder(where: Path, seed: int = 0) -> Path:
    """Writes a BERT whose words are letters into a folder, and gives the folder."""
    where.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(8)  # shipped tokenizers carry such settings; they must not bite
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(where / "tokenizer.json"))
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BertModel(BertConfig(vocab_size=len(vocabulary), initializer_range=0.5, **shape))
    network.save_pretrained(where)
    return where
