import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant.index.attention import AttentionIndex
from penchant.index.pool import IndexPool
from penchant.lens.conditional_logit import with_neighbours
from penchant.marking.attention import attention
from penchant.marking.registry import make_marker
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel
from tests.families import FAMILIES
from tests.index.cases import REQUEST, encoder_of, history_of, model_calls, texts, whole

ASKED = Request(REQUEST)


@pytest.mark.parametrize("family", FAMILIES)
def test_marks_are_the_scores_of_the_index_shared_with_neighbours(family: str) -> None:
    encoder = encoder_of(family, previous=0.3, following=0.1)
    history = history_of(texts(9))
    segments = whole(history)
    index = AttentionIndex(encoder)
    index.sync(history)
    expected, fed = index.score(history, segments, REQUEST)
    plain = attention(IndexPool(encoder), neighbours=False)(history, ASKED, segments)
    np.testing.assert_allclose(plain.scores, expected, atol=2e-3)
    marks = attention(IndexPool(encoder))(history, ASKED, segments)
    np.testing.assert_allclose(marks.scores, with_neighbours(expected, 0.3, 0.1), atol=3e-3)
    assert marks.segments == tuple(segments)
    assert (marks.marker, marks.heads, marks.layers_run) == ("attention", encoder.calibration.heads, 3)
    assert marks.calibration == encoder.calibration.name
    assert marks.history_tokens == index.tokens
    assert marks.tokens_fed == index.tokens + fed
    assert set(marks.seconds) == {"encode", "mark"}


def test_a_second_request_feeds_its_own_tokens_only() -> None:
    encoder = encoder_of()
    mark = attention(IndexPool(encoder))
    history = history_of(texts(9))
    mark(history, ASKED, whole(history))
    with model_calls(encoder.lens) as calls:
        again = mark(history_of(texts(9)), Request("Who wrote letters?"), whole(history))
    assert len(calls) == 1
    asked = len(encoder.lens.loaded.tokenizer("Who wrote letters?")["input_ids"])
    assert again.tokens_fed == asked
    longer = history_of(texts(10))
    assert mark(longer, ASKED, whole(longer)).tokens_fed < longer.records[9].body.__len__() + 40


def test_other_requests_get_other_marks_and_the_same_request_the_same() -> None:
    history = history_of(texts(20))
    mark = attention(IndexPool(encoder_of()))
    one, other = (mark(history, Request(text), whole(history)).scores for text in (REQUEST, "Who is allergic?"))
    assert not np.allclose(one, other)
    assert np.array_equal(mark(history, ASKED, whole(history)).scores, one)
    fresh = attention(IndexPool(encoder_of()))
    assert np.array_equal(fresh(history, ASKED, whole(history)).scores, one)


def test_small_histories() -> None:
    mark = attention(IndexPool(encoder_of()))
    nothing = mark(History([], "ann"), ASKED, [])
    assert (nothing.scores.shape, nothing.history_tokens) == ((0,), 0)
    one = history_of(["by the sea"])
    assert mark(one, ASKED, whole(one)).scores.tolist() == [0.0]


def test_a_record_of_a_hundred_thousand_characters() -> None:
    history = History([Record("I like long walks by the sea. " * 3334, id="long"), Record("peanuts", id="b")], "ann")
    assert len(history[0].body) > 100_000
    segments = segment(history, "sentence")
    marks = attention(IndexPool(encoder_of()))(history, ASKED, segments)
    assert len(segments) > 3000
    assert np.isfinite(marks.scores).all()
    assert marks.history_tokens > 30_000


@given(
    bodies=st.lists(st.text(min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=6),
    query=st.text(min_size=1, max_size=20).filter(str.strip),
)
def test_any_text_is_marked(bodies: list[str], query: str) -> None:
    history = History([Record(body) for body in bodies])
    segments = segment(history)
    marks = attention(IndexPool(encoder_of()))(history, Request(query), segments)
    assert np.isfinite(marks.scores).all()
    assert len(marks.scores) == len(segments)


def test_a_request_longer_than_the_window() -> None:
    history = history_of(texts(3))
    with pytest.raises(InputError, match="the request has 600 tokens: expected 1 to"):
        attention(IndexPool(encoder_of()))(history, Request("0" * 600), whole(history))


FACTS = {
    "What is the name of my dog?": "Our dog Biscuit learned to open the garden gate this morning.",
    "What am I allergic to?": "The doctor confirmed that I am allergic to shellfish.",
    "Which city did I grow up in?": "I spent my whole childhood in Lisbon, near the harbour.",
    "What instrument do I play?": "I have been practising the cello every evening since spring.",
    "What is my sister's job?": "My sister started working as a veterinarian in June.",
}
OTHERS = [
    f"{when}, {what}."
    for when in ("On Monday", "Yesterday", "Last week", "In the afternoon", "Before lunch")
    for what in (
        "the train was twenty minutes late",
        "I fixed the leaking kitchen tap",
        "it rained and I stayed inside",
        "we watched an old film about a lighthouse",
        "the report was sent to the whole team",
        "I bought two kilos of potatoes",
        "the neighbours painted their fence green",
        "I could not find my umbrella",
        "the library extended its opening hours",
        "the meeting about the budget was cancelled",
        "I walked home across the old bridge",
    )
]


@pytest.mark.model
@pytest.mark.parametrize("marker", ["attention", "fusion"])
def test_a_planted_fact_is_ranked_first_by_the_embedded_model(smollm2: LoadedModel, marker: str) -> None:
    bodies = [*OTHERS]
    for i, fact in enumerate(FACTS.values()):
        bodies.insert(5 + 11 * i, fact)
    assert len(bodies) == 60
    history = History([Record(body, id=str(i)) for i, body in enumerate(bodies)], "ann")
    mark = make_marker(marker, Resources(smollm2))
    first = {}
    for question in FACTS:
        marks = mark(history, Request(question), whole(history))
        first[question] = marks.segments[marks.ranked()[0]].text
    assert first == FACTS
