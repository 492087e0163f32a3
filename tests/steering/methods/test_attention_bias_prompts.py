from dataclasses import replace
from types import SimpleNamespace

import pytest
from tokenizers.processors import TemplateProcessing

from penchant.errors import InputError
from penchant.lens.calibration import Calibration
from penchant.models.chat import render_chat
from penchant.models.tokenization import prompt_ids
from penchant.steering.methods.attention_bias import BONUS, attention_bias_on, retrieval_heads
from penchant.steering.methods.spans import find_pieces, token_spans
from tests.families import tiny


def test_spans_of_text_are_found_in_the_tokens_of_the_prompt() -> None:
    loaded = tiny("llama")
    notes = ["I like tea. Question: none.", "Yes.", "Grüße, naïve café ☕!", "Yes."]
    prompt = render_chat(loaded, [{"role": "user", "content": "\n".join(notes) + "\nQuestion: What? Yes."}])
    ids = prompt_ids(loaded, prompt)
    found = attention_bias_on(
        loaded, prompt, [notes[0], notes[2], notes[3], "not there"], [1.0, 2.0, 3.0, 4.0], "Question:"
    )
    assert found is not None and found.bonus == (1.0, 2.0, 3.0)
    texts = [loaded.tokenizer.decode(ids[start:end]) for start, end in found.spans]
    assert [text.strip() for text in texts] == [notes[0], notes[2], notes[3]]
    assert found.spans[2][0] > found.spans[1][0]  # the second "Yes.", not the first nor the one in the question
    assert str(loaded.tokenizer.decode(ids[found.begin :])).startswith("Question: What?")
    behind = attention_bias_on(loaded, prompt, [notes[0]], 1.0)
    assert behind is not None and behind.begin is None and behind.first == found.spans[0][1]


def test_nothing_found_is_no_emphasis() -> None:
    loaded = tiny("llama")
    assert attention_bias_on(loaded, "a b c", ["z", ""], 1.0) is None
    assert attention_bias_on(loaded, "a b c", ["a"], 0.0) is None
    assert token_spans(loaded, "a b c", [(1, 1), (5, 9)]) == [None, None]
    with pytest.raises(InputError, match="the request isn't in the prompt"):
        attention_bias_on(loaded, "a b c", ["a"], 1.0, "Question")
    with pytest.raises(InputError, match="1 bonuses for 2 pieces"):
        attention_bias_on(loaded, "a b c", ["a", "b"], [1.0])
    with pytest.raises(InputError, match="expected a fast tokenizer"):
        token_spans(replace(loaded, tokenizer=SimpleNamespace(is_fast=False)), "a", [])  # type: ignore[arg-type]


def test_special_tokens_in_front_are_counted() -> None:
    loaded = tiny("llama")
    loaded.tokenizer.bos_token = "<|end|>"
    loaded.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", loaded.tokenizer.bos_token_id)]
    )
    for prompt in ("some tea", "<|end|>some tea"):
        (span,) = token_spans(loaded, prompt, [(prompt.index("tea"), len(prompt))])
        ids = prompt_ids(loaded, prompt)
        assert ids[0] == loaded.tokenizer.bos_token_id != ids[1]
        assert span is not None and str(loaded.tokenizer.decode(ids[slice(*span)])).strip() == "tea"


def test_pieces_are_found_in_their_order() -> None:
    assert find_pieces("b a b a", ["a", "b", "b", "z", ""]) == [(2, 3), (4, 5), (0, 1), None, None]


def test_the_default_is_a_nat_for_the_heads_of_the_index() -> None:
    calibration = Calibration("m", "f", ((3, 1), (2, 0), (3, 0)), (1.0, 1.0, 1.0))
    assert retrieval_heads(calibration) == {3: [1, 0], 2: [0]}
    assert BONUS == 1.0
    found = attention_bias_on(tiny("llama"), "some tea", ["tea"])
    assert found is not None and found.bonus == (BONUS,)
