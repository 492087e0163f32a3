from dataclasses import replace

import pytest

from penchant.errors import InputError
from penchant.inference.sites import Site
from penchant.steering.apply.context import FittedSteering, steer_request
from penchant.steering.data.contrast import Sample
from penchant.steering.extract.extractor import extract_bank
from penchant.steering.fit.cross_validation import validate_user
from penchant.steering.fit.search import fit_config
from penchant.steering.methods.registry import DEFAULT_METHOD, VECTOR_METHODS, vector_method
from tests.families import tiny
from tests.steering.users import contrasts, pairs, template


def test_methods_are_found_by_name() -> None:
    assert list(VECTOR_METHODS) == ["ascent", "fints", "fints-prompt", "caa", "user-mean"]
    assert all(vector_method(name).name == name for name in VECTOR_METHODS)
    assert vector_method(DEFAULT_METHOD).name == "ascent"
    with pytest.raises(InputError, match="no steering method 'lofit': expected one of ascent, fints"):
        vector_method("lofit")


def test_methods_can_be_told_apart_and_tried() -> None:
    assert len({method.about for method in VECTOR_METHODS.values()}) == len(VECTOR_METHODS)
    for method in VECTOR_METHODS.values():
        assert method.aggregations and method.kinds and min(method.strengths) > 0
        assert list(method.strengths) == sorted(method.strengths)
        assert all(0 < share < 1 for share in method.layers)


@pytest.mark.parametrize("name", list(VECTOR_METHODS))
def test_every_method_goes_from_samples_to_a_request(name: str) -> None:
    loaded = tiny("qwen3")
    method = replace(vector_method(name), layers=(0.5,))
    make = pairs if method.reading == "gradient" else contrasts
    users: dict[str, list[Sample]] = {user: list(make(f"zq {user}", 4)) for user in ("ada", "bo")}  # type: ignore[operator]
    config = fit_config(loaded, method, users, template(loaded), per_user=1)
    assert (config.method, config.reading) == (name, method.reading)
    assert config.sites == tuple(sorted(Site(2, kind) for kind in method.kinds))
    own = [effect for effect in config.effects if effect.part == "own"]
    assert len(own) == len(method.aggregations) * len(method.strengths)
    bank = extract_bank(loaded, config, "ada", users["ada"], template(loaded), everyone=users)
    checked = validate_user(loaded, config, users["ada"], bank, template=template(loaded))
    found = steer_request(loaded, FittedSteering(config, bank, checked), "the sea")
    assert found.level == checked.level
    assert (found.intervention is None) == (found.level == "none") == (checked.level == "none")
