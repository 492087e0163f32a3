"""Steering of hybrids: the layers that have the sites are taken, not the first that come."""

from dataclasses import replace

import pytest

from penchant.errors import ModelError
from penchant.inference.sites import Site, has_site, nearest_layers
from penchant.steering.fit.search import fit_config
from tests.families import tiny, tiny_network
from tests.steering.users import DIFFERENCES, contrasts, template


def test_layers_without_the_sites_are_passed_over() -> None:
    network = tiny_network("lfm2")  # attention at 1 and 3
    assert nearest_layers(network, ("attention",), [0, 1, 2]) == [1]
    assert nearest_layers(network, ("attention", "mlp"), [0, 3]) == [1, 3]
    assert nearest_layers(network, ("block",), [0, 2, 2]) == [0, 2]
    assert nearest_layers(tiny_network("llama"), ("attention",), [2, 1]) == [1, 2]
    with pytest.raises(ModelError, match="no layer with sites of attention and mlp: expected a method"):
        nearest_layers(tiny_network("mamba"), ("attention", "mlp"), [1])


@pytest.mark.parametrize("family", ["lfm2", "llama4", "gemma4"])
def test_sites_of_all_kinds(family: str) -> None:
    network = tiny_network(family)
    assert has_site(network, Site(1, "mlp")) and has_site(network, Site(3, "heads"))
    assert has_site(network, Site(0, "attention")) == (family != "lfm2")


def test_a_hybrid_is_steered_at_the_layers_that_attend() -> None:
    loaded = tiny("lfm2")
    given = {user: contrasts(f"zq {user}", 3) for user in ("ada", "bo")}
    method = replace(DIFFERENCES, kinds=("attention",), layers=(0.0, 0.5))
    config = fit_config(loaded, method, given, template(loaded))
    assert {effect.layer for effect in config.effects} == {1}
    assert set(config.sites) == {Site(1, "attention")}
