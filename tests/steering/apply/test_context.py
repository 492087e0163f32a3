"""Steering of one answer: active inside of a step and not outside, and told as it was."""

from dataclasses import replace

import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.inference.generation import generate_stream
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site
from penchant.steering.apply.aggregation import Aggregation, Term
from penchant.steering.apply.context import (
    FittedSteering,
    Steering,
    ValidationResult,
    attention_bias_for,
    batch_context,
    steer_request,
    steering_context,
    wrapped_stream,
)
from penchant.steering.config import SteeringConfig
from penchant.steering.storage.bank import KeySite
from tests.index.cases import calibration_of, lens_of
from tests.steering.people import LOADED

BLOCK = Site(1, "block")
PROMPT = "<|user|>What should I read by the sea?<|turn_end|><|assistant|>"


def push(strength: float) -> Intervention:
    width = LOADED.model.config.hidden_size
    return Intervention({BLOCK: Edit(torch.linspace(-1, 1, width)[None] * strength)}, "last_1")


def logits() -> torch.Tensor:
    with torch.no_grad():
        return LOADED.model(torch.arange(5, 205)[None]).logits  # longer than the prompt, so that it is in scope


def test_a_caller_is_not_steered_between_pieces() -> None:
    free = logits()
    plain = list(generate_stream(LOADED, PROMPT, max_new_tokens=12))
    with steering_context(LOADED, push(300.0), PROMPT) as step:
        pieces = []
        for piece in wrapped_stream(generate_stream(LOADED, PROMPT, max_new_tokens=12), step):
            pieces.append(piece)
            assert torch.equal(logits(), free)
        with step():
            assert not torch.equal(logits(), free)
        assert torch.equal(logits(), free)
    assert "".join(pieces) != "".join(plain)


def test_scope_begins_at_the_prompts_last_token() -> None:
    """The first piece is steered, too: it is predicted there. With the wrong length it wouldn't be."""
    first = next(iter(generate_stream(LOADED, PROMPT, max_new_tokens=1)))
    with steering_context(LOADED, push(300.0), PROMPT) as step:
        assert next(wrapped_stream(generate_stream(LOADED, PROMPT, max_new_tokens=1), step)) != first


def test_nothing_to_write_and_what_does_not_fit() -> None:
    plain = list(generate_stream(LOADED, PROMPT, max_new_tokens=6))
    with steering_context(LOADED, None, PROMPT) as step:
        assert list(wrapped_stream(generate_stream(LOADED, PROMPT, max_new_tokens=6), step)) == plain
    wrong = Intervention({BLOCK: Edit(torch.ones(1, 3))})
    with pytest.raises(InputError, match="3"), steering_context(LOADED, wrong, PROMPT) as step, step():
        pass


def test_what_is_told() -> None:
    config = SteeringConfig(
        "ascent", "f" * 64, "tiny", "gradient", (BLOCK,), KeySite(BLOCK), "last_1", 2.0, Aggregation(),
        torch.zeros(4), {BLOCK: 10.0}, population={BLOCK: torch.tensor([1.5, 2.0])},
    )  # fmt: skip
    found = steer_request(LOADED, FittedSteering(config), "What now?")
    assert found.intervention is not None and found.intervention.edits[BLOCK].add.tolist() == [[3.0, 4.0]]
    why = "no samples of the user"
    assert found == Steering("ascent", "population", ("1.block",), "last_1", 2.0, {"1.block": 0.5}, (), why)
    own = replace(found, level="own", terms=(Term("r1", 0.75), Term("", 0.25)), reason=None)
    assert own.as_dict() == {
        "method": "ascent", "level": "own", "sites": ["1.block"], "scope": "last_1", "strength": 2.0,
        "norms": {"1.block": 0.5}, "terms": [{"record": "r1", "weight": 0.75}, {"record": "", "weight": 0.25}],
        "reason": None,
    }  # fmt: skip
    assert str(own) == "steering: ascent, own; at 1.block, scope last_1, strength 2; r1 0.75, feedback 0.25"
    nothing = steer_request(LOADED, FittedSteering(config, None, ValidationResult("none", reason="it hurts")), "?")
    assert (nothing.intervention, nothing.sites, nothing.norms) == (None, (), {})
    assert str(nothing) == "steering: ascent, none (it hurts)"
    given = Steering.given(found.intervention)
    assert (given.sites, given.level, given.intervention) == (("1.block",), "given", found.intervention)


def test_emphasis_is_on_what_was_marked() -> None:
    calibration = calibration_of(lens_of())
    loaded = lens_of().loaded
    prompt = "<|user|>Notes: I like long walks. My bicycle is green.\nWhich colour is it?<|turn_end|><|assistant|>"
    pieces = [("r7", "My bicycle is green. ", 0.8)]
    bias, steering = attention_bias_for(loaded, calibration, prompt, pieces, Request("Which colour is it?"))
    assert (steering.level, steering.terms, steering.strength) == ("emphasis", (Term("r7", 0.8),), 1.0)
    assert set(steering.sites) == {f"{layer}.{head}" for layer, head in calibration.heads}
    ids = torch.tensor([loaded.tokenizer(prompt)["input_ids"]])

    def last() -> torch.Tensor:
        with torch.no_grad():
            return loaded.model(ids).logits[0, -1]

    free = last()
    with batch_context(loaded, [prompt], [None], [bias], calibration):
        assert not torch.equal(last(), free)
    assert torch.equal(last(), free)
    absent, nothing = attention_bias_for(loaded, calibration, prompt, [("r1", "not there", 1.0)], Request("?"))
    assert absent is None and (nothing.level, nothing.reason) == ("none", "no marked text is in the prompt")
