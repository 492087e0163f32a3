import numpy as np
import pytest
import torch

from penchant.errors import InputError, ModelError
from penchant.history.records import History, Record, Request, Segment
from penchant.history.segmentation import segment
from penchant.inference.recurrence import recurrence
from penchant.marking.attn_gs import DEPTH, INSTRUCTION, attn_gs
from tests.families import FAMILIES, WINDOW, tiny_tokenizer
from tests.index.cases import model_calls
from tests.lens.cases import eager_of, eager_rows, lens_of
from tests.marking.cases import halves, history_of, whole_records

HISTORY = history_of(["I like long walks.", "The film was sad, and long.", "Peanuts!", "She wrote three letters."])
ASKED = Request("What should I read?", task="Answer.")


def ids_of(text: str) -> list[int]:
    ids: list[int] = tiny_tokenizer()(text, add_special_tokens=False)["input_ids"]
    return ids


def by_eager(family: str, layer: int, segments: list[Segment], asked: str) -> list[float]:
    """One joint pass of eager attention: last token, mean over heads, mean over each segment's tokens."""
    start, end = ids_of(INSTRUCTION), ids_of(f"\n{asked}")
    pieces = [ids_of(s.text + "\n") for s in segments]
    ids = torch.tensor([start + [token for piece in pieces for token in piece] + end])
    row = eager_rows(eager_of(family), ids)[layer][0, :, -1].mean(0)
    at, means = len(start), []
    for piece in pieces:
        means.append(float(row[at : at + len(piece)].mean()))
        at += len(piece)
    assert at + len(end) == ids.shape[1]
    return means


# The layer nearest to 0.375 of 4 that sees the history: in gemma3 every second one does; in mistral none.
DEFAULT_LAYER = {"gemma3": 1}


@pytest.mark.parametrize("layer", [None, 0, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_marks_are_those_of_a_joint_eager_pass(family: str, layer: int | None) -> None:
    lens = lens_of(family)
    segments = halves(HISTORY)
    marks = attn_gs(lens, layer=layer)(HISTORY, ASKED, segments)
    read = DEFAULT_LAYER.get(family, 2) if layer is None else layer
    expected = by_eager(family, read, segments, "Answer.\nWhat should I read?")
    np.testing.assert_allclose(marks.scores, expected, atol=1e-6)
    assert max(expected) > 1e-3 or family == "mistral" or (family == "gemma3" and layer == 0)
    assert (marks.marker, marks.layers_run, marks.calibration) == ("attn-gs", read + 1, None)
    assert marks.heads == tuple((read, head) for head in range(4))
    assert marks.history_tokens == sum(len(ids_of(s.text + "\n")) for s in segments)
    fixed = len(ids_of(INSTRUCTION)) + len(ids_of("\nAnswer.\nWhat should I read?"))
    assert marks.tokens_fed == fixed + marks.history_tokens


def test_the_default_layer_is_the_papers() -> None:
    """Layer 6 of 16 (the 1B model) and 12 of 32 (the 8B model)."""
    assert (round(DEPTH * 16), round(DEPTH * 32)) == (6, 12)


def test_a_history_longer_than_the_window_is_read_in_passes_that_each_equal_eager() -> None:
    lens = lens_of("llama")
    history = history_of([f"Record {i} about the sea and a film." for i in range(80)])
    segments = whole_records(history)
    start, end = ids_of(INSTRUCTION), ids_of("\nWhat?")
    recurrence(lens.loaded)  # measured once, by passes of its own
    with model_calls(lens) as calls:
        marks = attn_gs(lens)(history, Request("What?"), segments)
    assert marks.history_tokens > 2 * WINDOW
    assert marks.tokens_fed == sum(calls)
    room = WINDOW - len(start) - len(end)
    groups: list[list[Segment]] = [[]]
    used = 0
    for one in segments:
        size = len(ids_of(one.text + "\n"))
        if used + size > room:
            groups.append([])
            used = 0
        groups[-1].append(one)
        used += size
    expected = [score for group in groups for score in by_eager("llama", 2, group, "What?")]
    assert len(groups) > 2
    np.testing.assert_allclose(marks.scores, expected, atol=1e-6)
    shorter = attn_gs(lens, block=200)(history, Request("What?"), segments)
    assert shorter.tokens_fed > marks.tokens_fed
    assert np.isfinite(shorter.scores).all()


def test_a_segment_longer_than_the_window_is_read_to_its_end() -> None:
    lens = lens_of("llama")
    body = "by the sea " * 9091  # 100,000 characters
    history = history_of([body, "peanuts"])
    with model_calls(lens) as calls:
        marks = attn_gs(lens)(history, Request("What?"), whole_records(history))
    tokens = [len(lens.loaded.tokenizer(text + "\n")["input_ids"]) for text in (body, "peanuts")]
    assert marks.history_tokens == sum(tokens)
    assert sum(calls) > marks.history_tokens
    assert max(calls) <= WINDOW
    assert (marks.scores > 0).all()
    assert len(body) > 99_000


def test_small_and_odd_histories() -> None:
    lens = lens_of("gemma3")
    mark = attn_gs(lens)
    nothing = mark(History([]), ASKED, [])
    assert (nothing.scores.shape, nothing.history_tokens, nothing.tokens_fed) == ((0,), 0, 0)
    one = history_of(["a film"])
    assert mark(one, ASKED, whole_records(one)).scores.shape == (1,)
    odd = History([Record("👩‍👩‍👧‍👦👍🏽"), Record("שלום עולם"), Record("nul \x00 nul"), Record("half \ud83d")])
    marks = mark(odd, Request("half \ud83d?"), segment(odd))
    assert np.isfinite(marks.scores).all()
    assert marks.scores.min() >= 0


def test_a_request_that_leaves_no_room_and_a_layer_that_is_not_there() -> None:
    lens = lens_of("llama")
    with pytest.raises(InputError, match=r"the request has \d+ tokens, which leaves no room .* window of 512"):
        attn_gs(lens)(HISTORY, Request("0" * 600), whole_records(HISTORY))
    with pytest.raises(ModelError, match="layer 9 was asked of tiny-llama"):
        attn_gs(lens, layer=9)(HISTORY, ASKED, whole_records(HISTORY))
