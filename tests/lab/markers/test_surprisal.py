import numpy as np
import pytest
import torch

from penchant.history.records import History, Request, Segment
from penchant.models.loading import LoadedModel
from penchant_lab.markers.surprisal import surprisal
from tests.families import FAMILIES, tiny
from tests.marking.cases import halves, history_of, whole_records

REQUEST = Request("ignored")
TEXTS = ["I like long walks by the sea.", "No.", "Tuesday at ten, please bring the report about the film!", "Ça va? 🎉"]


def by_hand(loaded: LoadedModel, text: str) -> tuple[list[float], list[tuple[int, int]]]:
    """-log p of each token of one text, run alone behind the leading token, and the characters it covers."""
    coded = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = torch.tensor([[loaded.tokenizer.eos_token_id, *coded["input_ids"]]])
    with torch.no_grad():
        logp = loaded.model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
    values = [-float(logp[i, token]) for i, token in enumerate(coded["input_ids"])]
    return values, [tuple(span) for span in coded["offset_mapping"]]


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_records_score_as_records_run_alone(family: str) -> None:
    loaded = tiny(family)
    history = history_of(TEXTS)
    segments = halves(history)
    marks = surprisal(loaded)(history, REQUEST, segments)
    expected = []
    for segment in segments:
        values, spans = by_hand(loaded, history[segment.record].body)
        inside = [v for v, (a, b) in zip(values, spans, strict=True) if a < segment.end and b > segment.start]
        expected.append(np.mean(inside))
    np.testing.assert_allclose(marks.scores, expected, atol=2e-4)
    assert marks.layers_run == loaded.num_layers
    counts = [len(by_hand(loaded, text)[0]) for text in TEXTS]
    assert marks.history_tokens == sum(counts)
    assert marks.tokens_fed == sum(counts) + len(counts)


def test_a_long_record_is_scored_in_overlapping_blocks() -> None:
    loaded = tiny("llama")
    text = "the film and the cooking and the sea, " * 12
    history = history_of([text])
    values, spans = by_hand(loaded, text)
    segments = [Segment(0, "r0", a, b, text[a:b]) for a, b in spans]
    marks = surprisal(loaded, block=33)(history, REQUEST, segments)
    np.testing.assert_allclose(marks.scores[:32], values[:32], atol=2e-4)
    # Token 32 is the first of the second block, which starts 8 tokens before it.
    ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    second = torch.tensor([[loaded.tokenizer.eos_token_id, *ids[24:56]]])
    with torch.no_grad():
        logp = loaded.model(input_ids=second, use_cache=False).logits[0].log_softmax(-1)
    np.testing.assert_allclose(marks.scores[32:56], [-float(logp[8 + i, ids[32 + i]]) for i in range(24)], atol=2e-4)


def test_known_records_are_not_run_again_and_the_request_does_not_matter() -> None:
    marker = surprisal(tiny("llama"))
    history = history_of(TEXTS)
    first = marker(history, REQUEST, whole_records(history))
    again = marker(history, Request("something else"), whole_records(history))
    assert again.tokens_fed == 0
    np.testing.assert_array_equal(first.scores, again.scores)


def test_a_segment_without_tokens_gets_the_lowest_score() -> None:
    history = history_of(["some text here", "and more"])
    segments = [Segment(0, "r0", 0, 4, "some"), Segment(0, "r0", 4, 4, ""), Segment(1, "r1", 0, 8, "and more")]
    scores = surprisal(tiny("llama"))(history, REQUEST, segments).scores
    assert scores[1] == min(scores[0], scores[2])


def test_odd_histories() -> None:
    marker = surprisal(tiny("llama"))
    assert marker(History([]), REQUEST, []).scores.shape == (0,)
    odd = history_of(["\udc80 \x00", "مرحبا بالعالم", "x" * 3000])
    assert np.isfinite(marker(odd, REQUEST, whole_records(odd)).scores).all()
