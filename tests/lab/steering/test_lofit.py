from dataclasses import replace

import pytest
import torch

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import losses
from penchant.inference.sites import Site
from penchant_lab.steering.learning import Head, TrainingData
from penchant_lab.steering.lofit import Offsets, choose_heads, learn_offsets
from tests.families import tiny
from tests.steering.methods.cases import answered, exchanges, hooks

pytestmark = pytest.mark.slow

PLANTED = Head(2, 1)


def _planted(head: Head = PLANTED, value: float = 8.0, dim: int = 16) -> dict[Site, Edit]:
    add = torch.zeros(4, dim)
    add[head.head] = value * torch.randn(dim, generator=torch.Generator().manual_seed(3))
    return {Site(head.layer, "heads"): Edit(add.reshape(1, -1))}


@pytest.mark.parametrize("scope", ["after_prompt", "last_1"])
def test_offsets_find_what_was_added(scope: str) -> None:
    loaded = tiny("llama")
    planted = _planted()
    given = answered(loaded, 32, planted, scope)
    held = TrainingData(loaded, answered(loaded, 32, planted, scope, seed=1), scope=scope)
    found = learn_offsets(loaded, given, [PLANTED], scope=scope, passes=8, lr=0.6)
    possible = held.mean({}) - held.mean(planted)
    gain = held.mean({}) - held.mean(found.intervention(loaded).edits)
    assert gain > 0.6 * possible > 0.2
    other = learn_offsets(loaded, given, [Head(2, 3)], scope=scope, passes=8, lr=0.6)
    assert held.mean({}) - held.mean(other.intervention(loaded).edits) < 0.7 * gain
    assert hooks(loaded) == 0


def test_the_heads_that_matter_are_chosen() -> None:
    loaded = tiny("llama")
    scale = torch.ones(4, 16)
    scale[PLANTED.head] = torch.tensor([4.0, -2.0]).repeat(8)  # up and down: on average nothing
    given = answered(loaded, 64, {Site(2, "heads"): Edit(scale=scale.reshape(1, -1))}, "last_1")
    assert choose_heads(loaded, given, 1, scope="last_1", passes=4, lr=0.05) == (PLANTED,)
    two = choose_heads(loaded, given, 2, scope="last_1", passes=4, lr=0.05)
    assert PLANTED in two and two == tuple(sorted(two))
    assert all(head.layer == 0 for head in choose_heads(loaded, given, 2, layers=[0], passes=1))
    assert len(choose_heads(loaded, given[:4], passes=1)) == 1  # 3 % of 16


def test_the_penalty_keeps_scales_small() -> None:
    loaded = tiny("llama")
    given = TrainingData(loaded, exchanges(8), rows=8)
    falls = []
    for l1 in (0.0, 10.0):
        told: list[float] = []
        choose_heads(loaded, given, 3, passes=8, lr=0.1, l1=l1, progress=lambda _, loss, told=told: told.append(loss))
        falls.append(told[0] - told[-1])
    assert falls[0] > 0.3 > 3 * falls[1]


def test_the_same_seed_gives_the_same_offsets() -> None:
    loaded = tiny("qwen3")
    given, heads = exchanges(8), [Head(1, 0), Head(3, 2)]
    data = TrainingData(loaded, given, rows=2)
    first, again, other = (learn_offsets(loaded, data, heads, passes=2, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first.vectors, again.vectors) and first.run == again.run
    assert not torch.equal(first.vectors, other.vectors)


def test_the_intervention_is_what_was_learned() -> None:
    loaded = tiny("llama")
    given, heads = exchanges(6), [Head(1, 2), Head(3, 0), Head(1, 0)]
    offsets = learn_offsets(loaded, given, heads, passes=3, lr=0.1)
    written = offsets.intervention(loaded)
    assert (written.rows, written.scope, list(written.edits)) == (
        1,
        "after_prompt",
        [Site(1, "heads"), Site(3, "heads")],
    )
    add = written.edits[Site(1, "heads")].add
    assert add is not None and torch.equal(add.reshape(4, -1)[2], offsets.vectors[0])
    assert torch.equal(add.reshape(4, -1)[0], offsets.vectors[2]) and not bool(add.reshape(4, -1)[[1, 3]].any())
    edits = {site: Edit(edit.add.expand(6, -1)) for site, edit in written.edits.items() if edit.add is not None}
    by_runtime = losses(loaded, given, [Intervention(edits)]).mean()
    assert TrainingData(loaded, given).mean(written.edits) == pytest.approx(float(by_runtime), abs=1e-5)
    assert offsets.bytes == 3 * 16 * 2


def test_a_start_is_kept_when_the_user_says_nothing_else() -> None:
    loaded = tiny("llama")
    given, heads = exchanges(6), [Head(1, 2), Head(3, 0)]
    start = Offsets(tuple(heads), torch.randn(2, 16, generator=torch.Generator().manual_seed(0)))
    far = []
    for shrink in (0.0, 1.0):
        found = learn_offsets(loaded, given, heads, start=start, shrink=shrink, passes=12, lr=0.1)
        far.append(float((found.vectors - start.vectors).norm()))
    assert far[0] > 2 * far[1] > 0
    # What is held out is said in the way of the start, what is learned from in the opposite way.
    mine = start.intervention(loaded)
    held, against = (answered(loaded, 32, mine.times(way).edits, "after_prompt") for way in (6.0, -6.0))
    start = replace(start, vectors=6 * start.vectors)
    kept = learn_offsets(loaded, against, heads, held_out=held, start=start, passes=9, lr=0.3)
    assert torch.equal(kept.vectors, start.vectors) and kept.run is not None and kept.run.kept == 0
    assert len(kept.run.losses) == 4  # patience


def test_offsets_are_learned_in_bfloat16_too() -> None:
    losses_by_type = []
    for dtype in (torch.float32, torch.bfloat16):
        loaded = tiny("llama", dtype=dtype)
        given = TrainingData(loaded, answered(tiny("llama"), 24, _planted(), "last_1"), scope="last_1")
        offsets = learn_offsets(loaded, given, [PLANTED], scope="last_1", passes=8, lr=0.2)
        assert offsets.vectors.dtype == torch.float32 and offsets.run is not None
        losses_by_type.append((given.mean({}), given.mean(offsets.intervention(loaded).edits)))
    (before, after), (_, rounded) = losses_by_type
    assert before - rounded > 0.9 * (before - after) > 0.1


def test_wrong_wishes() -> None:
    loaded = tiny("llama")
    given, heads = exchanges(2), (Head(0, 0),)
    for count in (0, 17):
        with pytest.raises(InputError, match=f"{count} heads: expected 1 to 16"):
            choose_heads(loaded, given, count)
    with pytest.raises(InputError, match="no heads"):
        learn_offsets(loaded, given, [])
    start = Offsets(heads, torch.zeros(1, 16))
    for wrong in ({"heads": [Head(0, 1)]}, {"heads": heads, "scope": "last_1"}):
        with pytest.raises(InputError, match="expected offsets at the same heads"):
            learn_offsets(loaded, given, start=start, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected one each"):
        Offsets((Head(0, 0), Head(0, 0)), torch.zeros(2, 16))
