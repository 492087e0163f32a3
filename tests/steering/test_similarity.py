from dataclasses import replace

import pytest
import torch

from penchant.errors import InputError
from penchant.steering.bank import empty_bank
from penchant.steering.similarity import bm25_scores, dense_scores, hidden_scores
from tests.steering.cases import bank_of


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
    assert hidden_scores(empty_bank(one), torch.ones(12)).shape == (0,)
    assert hidden_scores(one, torch.zeros(12)).tolist() == [0.0]
    with pytest.raises(InputError, match=r"read it at 1\.block mean"):
        hidden_scores(one, torch.zeros(11))


def test_words() -> None:
    score = bm25_scores("en")
    found = score(["the red car", "a blue boat on water", "red boats"], "red boat")
    assert int(found.argmax()) == 2
    assert float(found.max()) == 1
    assert float(found.min()) > 0
    assert score(["a car", "a boat"], "tree").tolist() == [0, 0]
    assert score([], "tree").shape == (0,)


@pytest.mark.model
def test_meanings() -> None:
    score = dense_scores()
    found = score(["My cat sleeps", "Interest rates rose"], "Which pet do I have?")
    assert found.shape == (2,)
    assert found[0] > found[1]
    assert score([], "x").shape == (0,)
