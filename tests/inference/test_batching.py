import random
from itertools import groupby

import torch

from penchant.inference.batching import beside, length_batches, pad_left, pad_right
from penchant.inference.positions import positions_of

LENGTHS = [random.Random(3).randrange(60) for _ in range(80)]


def test_every_text_once_the_shortest_first() -> None:
    found = [i for batch in length_batches(LENGTHS, rows=7, tokens=300) for i in batch]
    assert sorted(found) == list(range(80))
    assert [LENGTHS[i] for i in found] == sorted(LENGTHS)
    assert list(length_batches([])) == []
    assert list(length_batches([5, 5, 5])) == [[0, 1, 2]]


def test_no_batch_exceeds_a_limit_but_one_of_a_single_text() -> None:
    behind = [random.Random(4).randrange(1, 90) for _ in LENGTHS]
    batches = list(length_batches(LENGTHS, rows=6, tokens=400, behind=behind, tokens_behind=200))
    several = [batch for batch in batches if len(batch) > 1]
    assert len(several) > 10
    for batch in several:
        after = max(behind[i] for i in batch)
        assert len(batch) <= 6 and len(batch) * after <= 200
        assert len(batch) * (max(LENGTHS[i] for i in batch) + after) <= 400
    assert list(length_batches([500, 3], tokens=10)) == [[1], [0]]


def test_texts_of_equal_length_only() -> None:
    batches = list(length_batches(LENGTHS, rows=4, equal=True))
    assert all(len({LENGTHS[i] for i in batch}) == 1 for batch in batches)
    groups = [len(list(group)) for _, group in groupby(sorted(LENGTHS))]
    assert len(batches) == sum(-(-size // 4) for size in groups)


def test_padding_and_positions() -> None:
    left, right = pad_left([[5, 6, 7], [8]]), pad_right([[5, 6, 7], [8]])
    assert left.ids.tolist() == [[5, 6, 7], [0, 0, 8]] and left.there.tolist() == [[True] * 3, [False, False, True]]
    assert right.ids.tolist() == [[5, 6, 7], [8, 0, 0]] and right.there.tolist() == [[True] * 3, [True, False, False]]
    both = beside(left, right)
    assert positions_of(both.there).tolist() == [[0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 1, 1]]
    assert torch.equal(both.ids[:, 3:], right.ids)
    assert pad_left([[], []]).ids.shape == (2, 0)
