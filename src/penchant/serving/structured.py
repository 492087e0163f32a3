"""Answers in JSON of a schema: tokens that would leave it are never chosen (llguidance)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import llguidance
import llguidance.hf
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from penchant.inference.answer_row import Grammar
from penchant.inference.stopping import end_tokens
from penchant.models.loading import LoadedModel
from penchant.serving.errors import ApiError

_tokenizers: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Small models that may write any white space write nothing else."""


def grammar_of(loaded: LoadedModel, response_format: Mapping[str, Any] | None) -> Callable[[], Grammar] | None:
    """Return what makes the grammar of an answer, from a request's `response_format`; None for plain text.

    Raises `ApiError` for an unknown type, and for a schema that can't be compiled.
    """
    kind = (response_format or {}).get("type", "text")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        schema: Any = {"type": "object"}
    elif kind == "json_schema" and isinstance(given := response_format.get("json_schema"), Mapping):
        schema = given.get("schema", {})
    else:
        raise _refused(f"response_format.type is {kind!r:.40}: expected text, json_object or json_schema")
    if not loaded.tokenizer.is_fast:
        raise _refused(f"the tokenizer of {loaded.name} is too slow for JSON: expected a fast tokenizer")
    tokenizer = _tokenizer(loaded)
    try:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_COMPACT)
    except ValueError as error:
        raise _refused(f"the schema can't be followed: {error}") from None
    if wrong := llguidance.LLMatcher.validate_grammar(grammar, tokenizer):
        raise _refused(f"the schema can't be followed: {wrong}")
    return partial(_Matcher, tokenizer, grammar, frozenset(end_tokens(loaded)))


def _refused(message: str) -> ApiError:
    return ApiError(400, " ".join(message.split()), param="response_format", code="invalid_schema")


def _tokenizer(loaded: LoadedModel) -> Any:
    tokenizer: Any = loaded.tokenizer
    if tokenizer not in _tokenizers:
        size = int(loaded.model.config.get_text_config().vocab_size)
        _tokenizers[tokenizer] = llguidance.hf.from_tokenizer(
            tokenizer, max(size, len(loaded.tokenizer)), eos_token=sorted(end_tokens(loaded))
        )
    return _tokenizers[tokenizer]


class _Matcher:
    """The grammar of one answer."""

    def __init__(self, tokenizer: Any, grammar: str, ends: frozenset[int]) -> None:
        self._matcher = llguidance.LLMatcher(tokenizer, grammar)
        self._ends = ends

    def mask(self, logits: Float[Tensor, " vocab"]) -> Float[Tensor, " vocab"]:
        allowed = torch.from_numpy(np.frombuffer(self._matcher.compute_logit_bias(), dtype=np.uint8) > 0)
        return logits.masked_fill(~allowed[: len(logits)], -torch.inf)

    def add(self, token: int) -> bool:
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped())
