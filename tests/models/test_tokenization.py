"""Text as tokens: nothing stands behind a prompt, and what stands in front of it stands there once."""

from dataclasses import replace

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase

from penchant.errors import InputError
from penchant.history.records import History, Record
from penchant.index.attention import AttentionIndex
from penchant.index.encode import Encoder
from penchant.lens.lens import Lens
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import appends, continuation_ids, opening_ids, prompt_ids, prompt_offsets, text_ids
from penchant.steering.methods.spans import token_spans
from tests.families import END, PAD, TEMPLATE, tiny
from tests.index.cases import calibration_of

MESSAGES = [{"role": "user", "content": "What should I read next?"}]
BEGIN = PAD
"""Stands in for a begin-of-text token."""


def finishing(pattern: str, template: str = TEMPLATE) -> LoadedModel:
    """A tiny model whose tokenizer finishes texts as `pattern` says: "$A <|end|>" appends an end-of-text token."""
    loaded = tiny("llama")
    tokenizer = loaded.tokenizer
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in (END, BEGIN)}
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=pattern, special_tokens=list(ids.items()))
    tokenizer.chat_template = template
    if BEGIN in pattern:
        tokenizer.bos_token = BEGIN
    return loaded


def ident(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(token))


@pytest.mark.parametrize("pattern", ["$A", f"$A {END}", f"{BEGIN} $A", f"{BEGIN} $A {END}"])
@pytest.mark.parametrize("brought", [False, True])
def test_prompts_begin_once_and_end_with_their_own_text(pattern: str, brought: bool) -> None:
    loaded = finishing(pattern, f"{BEGIN}{TEMPLATE}" if brought else TEMPLATE)
    assert appends(loaded) == (END in pattern)
    prompt = render_chat(loaded, MESSAGES)
    ids = prompt_ids(loaded, prompt)
    begin, end = (ident(loaded.tokenizer, token) for token in (BEGIN, END))
    assert ids.count(begin) == (1 if brought or BEGIN in pattern else 0)
    assert ids[0] == begin or begin not in ids
    assert end not in ids and ids[-1] == ident(loaded.tokenizer, "<|assistant|>")
    own = text_ids(loaded, prompt)
    assert ids[-len(own) :] == own
    assert [prompt[start:stop] for start, stop in prompt_offsets(loaded, prompt)][-1] == "<|assistant|>"
    assert len(prompt_offsets(loaded, prompt)) == len(ids)
    found = token_spans(loaded, prompt, [(prompt.index("What"), prompt.index("?"))])[0]
    assert found is not None
    assert loaded.tokenizer.decode(ids[slice(*found)]).startswith("What should")
    assert end not in continuation_ids(loaded, "A book.")
    assert opening_ids(loaded, "") == ([begin] if BEGIN in pattern else [])


def test_a_records_prefix_is_not_ended_and_indexes_made_so_are_not_used() -> None:
    history = History([Record("I like long walks by the sea.", id="a")])
    plain, ended = (finishing(pattern) for pattern in ("$A", f"$A {END}"))
    ended = replace(ended, identity=plain.identity)
    keys, identities = [], []
    for loaded in (plain, ended):
        lens = Lens(loaded)
        encoder = Encoder(lens, calibration_of(lens, prefix="<|user|>"))
        ((_, record),) = encoder.records([history[0].body])
        keys.append(record.keys)
        identities.append(AttentionIndex(encoder).identity)
    assert (keys[0] == keys[1]).all()
    assert identities[0] != identities[1]


def test_a_slow_tokenizer_has_no_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("llama")
    monkeypatch.setattr(type(loaded.tokenizer), "is_fast", False)
    with pytest.raises(InputError, match="expected a fast tokenizer"):
        prompt_offsets(loaded, "x")
