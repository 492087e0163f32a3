from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from penchant.errors import InputError, ModelError
from penchant.steering.apply import similarity
from penchant.steering.apply.similarity import Scorer, bm25_scores, hidden_scores
from tests.steering.cases import bank_of, empty, places, same

BANK = bank_of()
WORDS = ["the red car", "a blue boat on water", "red boats", "my old garden"]
TEXTS = {row.contrast: text for row, text in zip(BANK.rows, WORDS, strict=True)}


def test_cosines_from_a_centre_by_hand() -> None:
    bank, key = bank_of(), torch.randn(12)
    for centre in (torch.zeros(12), torch.randn(12)):
        wanted = torch.cosine_similarity(bank.keys - centre, (key - centre)[None])
        torch.testing.assert_close(hidden_scores(bank, key, centre), wanted)
    torch.testing.assert_close(hidden_scores(bank, key), hidden_scores(bank, key, bank.keys.mean(0)))


def test_a_common_component_hides_the_difference_until_it_is_removed() -> None:
    bank = bank_of()
    huge = torch.full((12,), 1e3)
    shifted = replace(bank, keys=bank.keys + huge)
    key = bank.keys[2] + 0.1 * torch.randn(12, generator=torch.Generator().manual_seed(0)) + huge
    plain = hidden_scores(shifted, key, torch.zeros(12))
    assert float(plain.min()) > 0.99
    assert int(hidden_scores(shifted, key).argmax()) == 2
    assert float(hidden_scores(shifted, key).min()) < 0.5


def test_one_row_or_none_has_no_mean_of_its_own() -> None:
    one = bank_of(rows=1)
    assert float(hidden_scores(one, one.keys[0])) == pytest.approx(1)
    assert hidden_scores(empty(one), torch.ones(12)).shape == (0,)
    assert hidden_scores(one, torch.zeros(12)).tolist() == [0.0]
    with pytest.raises(InputError, match=r"read it at 1\.block mean"):
        hidden_scores(one, torch.zeros(11))


def test_hidden_states_need_no_text() -> None:
    key, centre = torch.randn(12), torch.randn(12)
    assert torch.equal(Scorer().scores(BANK, "", key, centre), hidden_scores(BANK, key, centre))
    assert Scorer().usable(BANK) is BANK
    with pytest.raises(InputError, match="read it with read_keys"):
        Scorer().scores(BANK, "red")


def test_words() -> None:
    found = bm25_scores(WORDS[:3], "red boat", "en")
    assert int(found.argmax()) == 2
    assert float(found.max()) == 1
    assert float(found.min()) > 0
    assert bm25_scores(["a car", "a boat"], "tree").tolist() == [0, 0]
    assert bm25_scores([], "tree").shape == (0,)
    scorer = Scorer("bm25", TEXTS)
    assert torch.equal(scorer.scores(BANK, "red boat"), bm25_scores(WORDS, "red boat"))
    # Rows are known by their contrasts, not by their places.
    turned = places(BANK, [3, 2, 0])
    assert torch.equal(scorer.scores(turned, "red boat"), bm25_scores([WORDS[n] for n in (3, 2, 0)], "red boat"))


@pytest.mark.parametrize("kind", ["bm25", "dense"])
def test_rows_without_a_text_do_not_count(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        similarity, "_sentence_encoder", lambda: lambda texts: (np.ones((len(texts), 3), np.float32), 0)
    )
    gone = {contrast: text for contrast, text in TEXTS.items() if contrast != BANK.rows[1].contrast}
    scorer = Scorer(kind, gone)
    assert same(scorer.usable(BANK), places(BANK, [0, 2, 3]))
    assert scorer.scores(scorer.usable(BANK), "red").shape == (3,)
    with pytest.raises(InputError, match="1 rows without the text of their input"):
        scorer.scores(BANK, "red")
    assert len(Scorer(kind).usable(BANK)) == 0
    assert Scorer(kind).scores(empty(BANK), "red").shape == (0,)


def test_a_text_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[list[str]] = []

    def embed(texts: list[str]) -> tuple[Any, int]:
        fed.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32).reshape(-1, 2), 0

    monkeypatch.setattr(similarity, "_sentence_encoder", lambda: embed)
    scorer = Scorer("dense", TEXTS)
    for query in ("red", "red", "blue", WORDS[0]):
        wanted = [len(text) * len(query) + 1.0 for text in WORDS]
        assert scorer.scores(BANK, query).tolist() == wanted
    assert [text for some in fed for text in some] == [*WORDS, "red", "blue"]


def test_another_kind_and_no_embedder_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="similarity"):  # a type error where types are checked
        Scorer("luck")  # type: ignore[arg-type]

    def missing() -> None:
        raise ModelError("not installed")

    monkeypatch.setattr(similarity, "_sentence_encoder", missing)
    with pytest.raises(ModelError, match="not installed"):
        Scorer("dense")
    Scorer("bm25")


@pytest.mark.model
def test_meanings() -> None:
    bank = places(BANK, [0, 1])
    texts = dict(zip([row.contrast for row in bank.rows], ["My cat sleeps", "Interest rates rose"], strict=True))
    found = Scorer("dense", texts).scores(bank, "Which pet do I have?")
    assert found.shape == (2,) and found.dtype == torch.float32
    assert 1 > found[0] > found[1] + 0.1
