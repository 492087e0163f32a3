"""The tokens of a tokenizer, and the embeddings that a model has for them."""

from __future__ import annotations

import json
import logging
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penchant.errors import ModelError

log = logging.getLogger(__name__)


def check_vocabulary(source: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Leave out added tokens that the model has no embedding for, with a warning: a text that spells one out would stop
    the model. Often it is one for padding.

    Raises `ModelError` if such tokens are needed: by the chat template, or as a part of the vocabulary proper.
    """
    embeddings: Any = model.get_input_embeddings()
    rows = int(embeddings.weight.shape[0])
    beyond = sorted((number, text) for text, number in tokenizer.get_vocab().items() if number >= rows)
    if not beyond:
        return
    first, named = beyond[0][1], ", ".join(repr(text) for _, text in beyond[:3])
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    ends = {str(token) for token in (tokenizer.bos_token, tokenizer.eos_token)}
    template = str(tokenizer.chat_template or "")
    needed = [text for _, text in beyond if text not in added or text in ends or text in template]
    if needed or not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {source} has {len(beyond)} tokens beyond the model's {rows:,} embeddings, among them "
            f"{(needed or [first])[0]!r}: use the tokenizer that the model was trained with"
        )
    log.warning("%s has no embedding for %d added tokens (%s): they are left out", source, len(beyond), named)
    drop_tokens_from(tokenizer, rows)


def drop_tokens_from(tokenizer: PreTrainedTokenizerBase, count: int) -> None:
    """Remove the added tokens from number `count` on, in place: a text that spells one out is then cut as any other."""
    fast: Any = tokenizer
    content = json.loads(fast.backend_tokenizer.to_str())
    kept = [token for token in content["added_tokens"] if token["id"] < count]
    if len(kept) < len(content["added_tokens"]):
        content["added_tokens"] = kept
        fast._tokenizer = Tokenizer.from_str(json.dumps(content))
