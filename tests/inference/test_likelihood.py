import pytest
import torch

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import Exchange, Prefilled, batches, losses
from penchant.inference.sites import Kind, Site, site_width
from tests.families import FAMILIES, tiny
from tests.steering.methods.cases import exchanges
from tests.steering.users import hooked, plain_nll

KINDS: tuple[Kind, ...] = ("block", "mlp", "attention", "heads")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scope", ["after_prompt", "last_1"])
def test_losses_are_those_of_plain_forward_passes(family: str, scope: str) -> None:
    loaded, given = tiny(family), [*exchanges(2), Exchange((7,), (9, 8)), Exchange((5, 6, 7), (4,))]
    draw = torch.Generator().manual_seed(1)
    edits = {}
    for layer, kind in enumerate(KINDS):
        shape = len(given), site_width(loaded.model, kind)
        edits[Site(layer, kind)] = Edit(torch.randn(shape, generator=draw), torch.rand(shape, generator=draw) + 0.5)
    written = Intervention(edits, scope)
    few = Intervention({Site(0, "block"): edits[Site(0, "block")]}, scope)

    def rows(of: Intervention, numbers: list[int]) -> Intervention:
        return Intervention({s: Edit(e.add[numbers], e.scale[numbers]) for s, e in of.edits.items()}, of.scope)  # type: ignore[index]

    tried = [None, written, few, Intervention({}, scope), written]
    together = losses(loaded, given, tried)
    with torch.no_grad():
        for number, one in enumerate(given):
            wanted = [plain_nll(loaded, one, of and rows(of, [number])) for of in (None, written, few, None, written)]
            assert together[:, number] == pytest.approx(torch.stack(wanted), abs=2e-5)
    assert float((together[0] - together[1]).abs().max()) > 0.1 < float((together[2] - together[1]).abs().max())
    assert losses(loaded, given, tried, rows=1) == pytest.approx(together, abs=2e-5)
    assert losses(loaded, given, tried, rows=3, tail=4) == pytest.approx(together, abs=2e-5)


def test_nothing_of_a_prompt_is_in_scope_after_it() -> None:
    loaded, one = tiny(), Exchange((5, 6, 7), (4,))
    written = Intervention({Site(1, "block"): Edit(torch.full((1, 64), 9.0))}, "after_prompt")
    none, behind, with_it = losses(loaded, [one], [None, written, Intervention(written.edits, "last_1")], tail=1)
    assert float(none) == float(behind) != float(with_it)
    assert float(losses(loaded, [one], [written], tail=0)) == pytest.approx(float(none), abs=1e-5)


def test_scopes_that_reach_into_what_was_read_are_refused() -> None:
    loaded = tiny()
    edits = {Site(1, "block"): Edit(torch.ones(1, 64))}
    before = hooked(loaded)
    for scope, tail in (("all", 1), ("last_2", 1), ("last_1", 0), ("all", 50)):
        with pytest.raises(InputError, match=f"scope {scope}: expected one that begins in the prompt's last {tail}"):
            losses(loaded, exchanges(1), [Intervention(edits, scope)], tail=tail)
    assert hooked(loaded) == before


@pytest.mark.parametrize("wrong", [Exchange((), (1,)), Exchange((1,), ())])
def test_empty_prompts_and_answers_are_refused(wrong: Exchange) -> None:
    with pytest.raises(InputError, match="without a prompt or an answer"):
        losses(tiny(), [*exchanges(2), wrong], [None])


def test_another_number_of_rows_is_refused() -> None:
    three = Intervention({Site(1, "block"): Edit(torch.ones(3, 64))})
    with pytest.raises(InputError, match="3 rows for 2 exchanges"):
        losses(tiny(), exchanges(2), [None, three])


def test_progress_is_told_and_nothing_to_read_is_nothing_to_do() -> None:
    told: list[tuple[int, int | None]] = []
    losses(tiny(), exchanges(7), [None], rows=3, progress=lambda _, *at: told.append(at))
    assert told == [(3, 7), (6, 7), (7, 7)]
    assert losses(tiny(), [], [None]).shape == (1, 0)


def test_reading_leaves_the_prompts_as_they_were() -> None:
    loaded = tiny("gemma3")
    read = Prefilled(loaded, exchanges(3), 1)
    with torch.no_grad():
        assert torch.equal(read.losses(), read.losses())


def test_batches_hold_everything_once_and_no_more_than_they_may() -> None:
    given = [Exchange((1,) * (1 + n * 7 % 90), (1,) * (1 + n * 5 % 31)) for n in range(150)]
    found = list(batches(given, 5, 60))
    assert sorted(place for batch in found for place in batch) == list(range(150))
    for batch in found:
        assert len(batch) <= 5
        assert len(batch) == 1 or len(batch) * max(len(given[place].answer) for place in batch) <= 60
    assert max(map(len, found)) == 5
    assert list(batches([Exchange((1,), (1,) * 100)] * 2, 5, 60)) == [[0], [1]]
    spreads = [max(len(given[p].prompt) for p in b) - min(len(given[p].prompt) for p in b) for b in found]
    assert max(spreads) < 60  # of 90: prompts of a batch are alike, too
