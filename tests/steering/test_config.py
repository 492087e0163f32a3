import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors import safe_open
from safetensors.torch import save

from penchant.errors import InputError, StoreError
from penchant.inference.runtime import steered
from penchant.inference.sites import Site
from penchant.steering.apply.aggregation import Aggregation, aggregate
from penchant.steering.config import Effect, SteeringConfig, config_name, read_config
from penchant.steering.storage.bank import Basis
from penchant.store.erasure.lineage import SHARED, source_of, write_shared
from tests.families import tiny
from tests.steering.users import SITES, noise_bank, setting_of

LOADED = tiny()
DRAW = torch.Generator().manual_seed(0)
TABLE = torch.randn(4, 64, generator=DRAW)
BOTH = (Site(1, "attention"), Site(1, "mlp"))


def _full() -> SteeringConfig:
    return setting_of(
        LOADED,
        sites=BOTH,
        strength=1 / 3,
        aggregation=Aggregation(top=None, temperature=0.3, half_life=7, shrinkage=8.0, pop_share=0.9, own_share=1.5),
        centre=TABLE[0],
        caps={BOTH[0]: 0.1 + 0.2, BOTH[1]: 1e-3},
        base={BOTH[0]: TABLE[1]},
        population={BOTH[0]: TABLE[2], BOTH[1]: TABLE[3]},
        effects=(Effect(1, 0.1, "own", "all, uniform", 0.012345678901234567, float("inf")),),
        users=3,
        pairs=11,
        similarity="bm25",
        basis=Basis({site: TABLE[:2].bfloat16().float() for site in BOTH}, TABLE[2:3].bfloat16().float(), TABLE[0]),
    )


def _written(tmp_path: Path, config: SteeringConfig) -> Path:
    path = tmp_path / "setting.safetensors"
    path.write_bytes(config.to_bytes())
    return path


def _same(one: SteeringConfig, other: SteeringConfig) -> bool:
    tables = ("base", "population")
    blank: dict[str, Any] = {"base": {}, "population": {}, "centre": torch.zeros(1), "basis": None}
    plain = all(
        getattr(one, name) == getattr(other, name) for name in SteeringConfig.__dataclass_fields__ if name not in blank
    )
    pairs = [(one.centre, other.centre)]
    bases = (one.basis, other.basis)
    plain = plain and [basis and basis.fingerprint for basis in bases] == [bases[0] and bases[0].fingerprint] * 2
    for name in tables:
        ours, theirs = getattr(one, name), getattr(other, name)
        plain = plain and set(ours) == set(theirs)
        pairs += [(ours[site], theirs[site]) for site in ours]
    return plain and all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs)


@pytest.mark.parametrize("config", [_full(), setting_of(LOADED)])
def test_a_config_is_read_as_it_was_written(tmp_path: Path, config: SteeringConfig) -> None:
    found = read_config(_written(tmp_path, config), config.method, config.model)
    assert found is not None and _same(found, config) and found.origin == config.origin
    # One vector in two parts, or a view of a larger table, is no trouble.
    assert replace(config, base={BOTH[0]: TABLE[2]}, centre=TABLE[2]).to_bytes()


def test_a_file_of_an_earlier_version_compares_hidden_states(tmp_path: Path) -> None:
    config = setting_of(LOADED)
    path = _written(tmp_path, config)
    with safe_open(path, "pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about = json.loads(header["setting"])
    assert about.pop("similarity") == "hidden"
    path.write_bytes(save(tensors, {**header, "setting": json.dumps(about)}))
    found = read_config(path, config.method, config.model)
    assert found is not None and _same(found, config) and (found.similarity, found.basis) == ("hidden", None)


def test_another_model_method_or_format_is_no_config(tmp_path: Path) -> None:
    config = _full()
    path = _written(tmp_path, config)
    assert read_config(path, "fints", config.model) is None
    assert read_config(path, config.method, "0" * 64) is None
    assert read_config(tmp_path / "nothing", config.method, config.model) is None
    path.write_bytes(save({"centre": TABLE[0]}, {"format": "2"}))
    assert read_config(path, config.method, config.model) is None


def test_damage_is_reported_wherever_it_is(tmp_path: Path) -> None:
    config = _full()
    path = _written(tmp_path, config)
    whole = path.read_bytes()
    for end in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(StoreError, match=r"setting\.safetensors is damaged .*: remove it and fit again"):
            read_config(path, config.method, config.model)


@pytest.mark.parametrize(
    "harm",
    [
        lambda about: about.pop("scope"),
        lambda about: about.pop("caps"),
        lambda about: about.update(more=1),
        lambda about: about.update(sites=[1]),
        lambda about: about.update(sites=["x"]),
        lambda about: about.update(caps=[1]),
        lambda about: about.update(key="1.block sum"),
        lambda about: about.update(aggregation={"top": 0}),
        lambda about: about.update(effects=[{}]),
    ],
)
def test_damaged_words_are_told(tmp_path: Path, harm: Callable[[dict[str, Any]], None]) -> None:
    config = _full()
    path = _written(tmp_path, config)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["setting"])
    harm(about)
    path.write_bytes(save(tensors, {"format": "1", "setting": json.dumps(about)}))
    with pytest.raises(StoreError, match="damaged"):
        read_config(path, config.method, config.model)


def test_damaged_tensors_and_missing_words_are_told(tmp_path: Path) -> None:
    config, path = _full(), tmp_path / "setting.safetensors"
    about = {"format": "1", "setting": json.dumps({"method": config.method, "model": config.model})}
    for tensors, words in (
        ({"centre": TABLE[0], "other 1.mlp": TABLE[1]}, about),
        ({"base 1.mlp": TABLE[1]}, about),
        ({"centre": TABLE[0]}, {"format": "1"}),
        ({"centre": TABLE[0]}, {}),
        ({"centre": TABLE[0]}, {"format": "1", "setting": "[]"}),
    ):
        path.write_bytes(save(tensors, words))
        with pytest.raises(StoreError, match="damaged"):
            read_config(path, config.method, config.model)


def test_a_saved_config_goes_with_its_contributors(tmp_path: Path) -> None:
    config = _full()
    path = write_shared(
        tmp_path,
        config_name(config.method, config.model),
        config.to_bytes(),
        [source_of("ada"), source_of("bo")],
    )
    assert path.parent == tmp_path / SHARED and path.name == config_name(config.method, config.model)
    found = read_config(path, config.method, config.model)
    assert found is not None and _same(found, config)
    assert source_of("ada").user in "".join(p.read_text(errors="replace") for p in path.parent.iterdir())


def test_the_origin_says_what_rows_depend_on() -> None:
    plain = setting_of(LOADED, reading="answer_mean")
    assert plain.origin == replace(plain, scope="after_prompt", strength=9.0).origin == LOADED.fingerprint
    gradients = setting_of(LOADED)
    based = replace(gradients, base={SITES[0]: TABLE[0]})
    different = [
        plain,
        gradients,
        replace(gradients, scope="after_prompt"),
        based,
        replace(based, scope="after_prompt"),
        replace(based, base={SITES[0]: TABLE[1]}),
        replace(based, base={Site(2, "block"): TABLE[0]}),
        replace(based, base={SITES[0]: TABLE[0], Site(2, "block"): TABLE[0]}),
        replace(based, model="0" * 64),
    ]
    assert len({one.origin for one in different}) == len(different)
    assert all(one.origin.startswith(one.model) for one in different)
    assert replace(based, strength=2.0, population={SITES[0]: TABLE[3]}, centre=TABLE[2]).origin == based.origin


numbers = some.floats(-1e6, 1e6, width=32)


@settings(max_examples=60)
@given(
    vector=some.lists(numbers, min_size=3, max_size=3),
    base=some.lists(numbers, min_size=3, max_size=3),
    strength=some.floats(0, 1e3),
    cap=some.floats(1e-3, 1e3),
)
def test_no_vector_is_longer_than_its_cap(vector: list[float], base: list[float], strength: float, cap: float) -> None:
    site = SITES[0]
    config = setting_of(LOADED, base={site: torch.tensor(base)}, strength=strength, caps={site: cap})
    rows = torch.tensor([vector, [0.0] * 3, base])
    for made in (config.around({site: rows}), replace(config, population={site: rows[0]}).common()):
        written = made.edits[site].add
        assert written is not None and float(written.norm(dim=1).max()) <= cap * (1 + 1e-5)
    wanted = torch.tensor(base) + rows * strength
    written = config.around({site: rows}).edits[site].add
    assert written is not None
    for row, want in zip(written, wanted, strict=True):
        if float(want.norm()) <= cap * 0.999:
            assert torch.equal(row, want)  # what is short enough is left as it is
        elif float(want.norm()) > cap * 1.001:
            assert float(row.norm()) == pytest.approx(cap, rel=1e-4)
            assert float(row @ want) == pytest.approx(float(row.norm() * want.norm()), rel=1e-4)


def test_nothing_written_is_nothing_changed() -> None:
    config = setting_of(LOADED, strength=7.0)
    ids = torch.arange(6, 30)[None]
    with torch.no_grad():
        before = LOADED.model(ids).logits
        for nothing in (
            config.around({SITES[0]: torch.zeros(1, 64)}),
            config.around({SITES[0]: torch.zeros(1, 64)}).times(-1.0),
            replace(config, strength=0.0).around({SITES[0]: TABLE[:1]}),
            replace(config, population={SITES[0]: TABLE[0]}, strength=0.0).common(),
            config.common(),
        ):
            with steered(LOADED.model, nothing, [4] * nothing.rows):
                assert torch.equal(LOADED.model(ids).logits, before)
        with steered(LOADED.model, config.around({SITES[0]: TABLE[:1]}), [4]):
            assert not torch.equal(LOADED.model(ids).logits, before)


def test_shares_and_strength() -> None:
    site = SITES[0]
    config = setting_of(LOADED, strength=0.25, population={site: TABLE[0]}, base={site: TABLE[1]})
    bank = noise_bank(config, "ada", rows=3)
    scores = [torch.tensor([0.1, 0.2, 0.3])] * 2
    own = bank.vectors[site].mean(0)
    for pop_share, own_share, shrinkage in ((1.0, 1.0, 0.0), (0.5, 1.0, 0.0), (1.0, 2.0, 3.0), (0.0, 1.0, 0.0)):
        aggregation = replace(config.aggregation, pop_share=pop_share, own_share=own_share, shrinkage=shrinkage)
        one = replace(config, aggregation=aggregation)
        written, made = one.apply([bank, bank], scores)
        trust = own_share * 3 / (3 + shrinkage)
        want = TABLE[1] + 0.25 * (pop_share * TABLE[0] + trust * (own - TABLE[0]))
        assert written.scope == "last_1" and list(written.edits) == [site]
        assert written.edits[site].add == pytest.approx(want.expand(2, -1), abs=1e-5)
        assert made.samples == pytest.approx((3.0, 3.0))
        assert one.common().edits[site].add == pytest.approx((TABLE[1] + 0.25 * pop_share * TABLE[0])[None], abs=1e-6)
    # Without a population rows are held against nothing.
    alone = replace(config, population={})
    written = alone.apply([bank], scores[:1])[0]
    assert written.edits[site].add == pytest.approx((TABLE[1] + 0.25 * own)[None], abs=1e-5)
    assert torch.equal(
        alone.apply([bank], scores[:1])[1].vectors[site], aggregate([bank], scores[:1], alone.aggregation).vectors[site]
    )


@pytest.mark.parametrize("parts", [("base",), ("population",), ("base", "population")])
def test_what_is_common_comes_in_as_many_rows_as_asked(parts: tuple[str, ...]) -> None:
    config = setting_of(LOADED, **{part: {SITES[0]: TABLE[0]} for part in parts})
    for rows in (1, 3):
        found = config.common(rows)
        assert found.rows == rows
        assert torch.equal(found.edits[SITES[0]].add, config.common().edits[SITES[0]].add.expand(rows, -1))  # type: ignore[arg-type,union-attr]
    assert config.base_intervention() is None if "base" not in parts else config.base_intervention() is not None


def test_banks_that_were_read_otherwise_are_refused() -> None:
    config = setting_of(LOADED, base={SITES[0]: TABLE[0]})
    bank, scores = noise_bank(config, "ada"), [torch.zeros(4)]
    config.apply([bank], scores)
    for other in (
        replace(config, base={SITES[0]: TABLE[1]}),
        replace(config, base={}),
        replace(config, scope="after_prompt"),
        replace(config, sites=BOTH, caps=dict.fromkeys(BOTH, 1.0)),
    ):
        with pytest.raises(InputError, match="configuration of steps: fit the user's steering again"):
            other.apply([bank], scores)
        with pytest.raises(InputError, match="wasn't read for this configuration"):
            config.apply([bank, noise_bank(other, "bo")], scores * 2)
