import pytest
import torch

from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import Exchange
from penchant.inference.sites import Kind, Site, site_width
from penchant.steering.extract.vectors import likelihood_gradients
from tests.families import FAMILIES, tiny
from tests.steering.methods.cases import exchanges
from tests.steering.users import hooked, plain_nll

KINDS: tuple[Kind, ...] = ("block", "mlp", "attention", "heads")
GIVEN = [*exchanges(2), Exchange((7,), (9, 8, 7))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("scope", "based"), [("last_1", True), ("after_prompt", False), ("last_3", True)])
def test_gradients_are_finite_differences(family: str, scope: str, based: bool) -> None:
    loaded = tiny(family)
    draw = torch.Generator().manual_seed(2)
    sites = [Site(layer, kind) for layer, kind in enumerate(KINDS)]
    widths = {site: site_width(loaded.model, site.kind) for site in sites}
    # Written to one of the sites that are read, to another one, and scaled.
    edits = {
        sites[0]: Edit(torch.randn(1, 64, generator=draw), torch.rand(1, 64, generator=draw) + 0.5),
        Site(2, "block"): Edit(torch.randn(1, 64, generator=draw)),
    }
    found = likelihood_gradients(loaded, GIVEN, sites, scope=scope, base=Intervention(edits, scope) if based else None)
    assert list(found) == sites and {site: table.shape for site, table in found.items()} == {
        site: (len(GIVEN), widths[site]) for site in sites
    }

    def nll(one: Exchange, site: Site, step: torch.Tensor) -> float:
        written = dict(edits) if based else {}
        there = written.get(site, Edit())
        written[site] = Edit(step if there.add is None else there.add + step, there.scale)
        return float(plain_nll(loaded, one, Intervention(written, scope)))

    with torch.no_grad():
        for number, one in enumerate(GIVEN):
            for site in sites:
                gradient = found[site][number]
                step = 0.01 * gradient / gradient.norm() + 0.002 * torch.randn(widths[site], generator=draw) / 8
                change = nll(one, site, -step[None]) - nll(one, site, step[None])
                assert change / 2 == pytest.approx(float(gradient @ step), rel=0.03, abs=2e-6)


def test_a_row_depends_on_its_own_exchange_only() -> None:
    loaded, site = tiny("qwen3"), Site(1, "block")
    told: list[int] = []
    many = [*GIVEN, *exchanges(9, seed=3)]
    together = likelihood_gradients(
        loaded, many, [site], scope="last_1", progress=lambda _, done, total: told.append(done)
    )[site]
    assert told[-1] == len(many) and 1 < len(told) < len(many)
    for number, one in enumerate(many):
        alone = likelihood_gradients(loaded, [one], [site], scope="last_1")[site][0]
        assert together[number] == pytest.approx(alone, rel=1e-3, abs=1e-5)
    assert together.dtype == torch.float32


def test_answers_of_one_token_behind_a_prompt_that_is_left_alone_have_none() -> None:
    found = likelihood_gradients(tiny(), [Exchange((5, 6), (7,))], [Site(1, "mlp")], scope="after_prompt")
    assert not found[Site(1, "mlp")].any()


def test_the_model_is_left_as_it_was() -> None:
    loaded = tiny()
    before = hooked(loaded)
    likelihood_gradients(loaded, GIVEN[:1], [Site(1, "heads"), Site(1, "block")], scope="last_1")
    assert all(parameter.grad is None for parameter in loaded.model.parameters())
    assert hooked(loaded) == before


def test_what_has_no_gradients_is_refused() -> None:
    loaded, site = tiny(), Site(1, "block")
    for given, sites in (([], [site]), (GIVEN, [])):
        with pytest.raises(InputError, match="at least one exchange and one site"):
            likelihood_gradients(loaded, given, sites, scope="last_1")
    with pytest.raises(InputError, match="scope all: gradients need one that leaves the prompt alone"):
        likelihood_gradients(loaded, GIVEN, [site], scope="all")
    for rows, scope in ((2, "last_1"), (1, "after_prompt")):
        base = Intervention({site: Edit(torch.ones(rows, 64))}, scope)
        with pytest.raises(InputError, match=f"a base of {rows} rows with scope {scope}: expected one row"):
            likelihood_gradients(loaded, GIVEN, [site], scope="last_1", base=base)
