"""Steered answers through the library, on a tiny model: who is steered by what, when, and nobody else."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant import Answer, History, Personalizer, Store
from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.sites import Site
from penchant.steering.config import SteeringConfig, config_name
from penchant.steering.storage.fitted_state import load_fitted, paths_in_store
from penchant.store.erasure.lineage import write_shared
from tests.index.cases import calibration_of, lens_of
from tests.steering.people import choose_little, record, store_of

ASKED = "Where is the key?"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_little(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_of(tmp_path / "store", ("ann", "bob", "cat", "dan")) as made:
        yield made


def personalizer_of(store: Store | None, **options: Any) -> Personalizer:
    lens = lens_of()
    return Personalizer(lens.loaded, store=store, marker="attention", calibration=calibration_of(lens), **options)


def planted(user: str, strength: float = 300.0) -> Intervention:
    generator = torch.Generator().manual_seed(len(user) + ord(user[0]))
    width = lens_of().loaded.model.config.hidden_size
    return Intervention({Site(1, "block"): Edit(torch.randn(1, width, generator=generator) * strength)}, "last_1")


def logits() -> torch.Tensor:
    with torch.no_grad():
        return lens_of().loaded.model(torch.arange(5, 305)[None]).logits  # longer than the prompt: in scope


def strong(store: Store, personalizer: Personalizer, user: str) -> SteeringConfig:
    """Fitted, and then made strong enough for the tiny model to say something else."""
    personalizer.fit_steering(user)
    fitted = load_fitted(paths_in_store(store, user), personalizer.loaded, "ascent")
    caps = dict.fromkeys(fitted.config.sites, 300.0)
    config = replace(fitted.config, strength=1e6, caps=caps)
    write_shared(store.directory, config_name(config.method, config.model), config.to_bytes(), [])
    personalizer.fit_steering(user)
    return config


def test_a_method_is_told_with_the_answer(store: Store) -> None:
    personalizer = personalizer_of(store)
    with pytest.raises(InputError, match="penchant steer fit --user ann --store "):
        personalizer.ask("ann", ASKED, steer="ascent", budget=30)
    free = personalizer.ask("ann", ASKED, budget=30, max_tokens=8)
    assert (free.steering, "steer" in free.seconds) == (None, False)
    config = strong(store, personalizer, "ann")
    answer = personalizer.ask("ann", ASKED, steer="ascent", budget=30, max_tokens=8)
    found = personalizer.steered("ann", ASKED)
    assert answer.steering is not None
    assert (answer.steering.method, answer.steering.level) == ("ascent", found.level)
    assert {"steer", "answer", "mark"} <= set(answer.seconds)
    assert answer.profile is not None and free.profile is not None
    assert answer.profile.text == free.profile.text
    assert answer.prompt_tokens == free.prompt_tokens
    if found.level == "own":
        assert answer.steering.sites == tuple(map(str, config.sites))
        assert {term.record for term in answer.steering.terms} <= {f"ann{i}" for i in range(5)}
    nobody = personalizer.ask("dan", ASKED, steer="ascent", knowledge="none", max_tokens=2)
    assert nobody.steering is not None and nobody.steering.level in {"population", "none"}


@pytest.mark.parametrize("knowledge", ["profile", "full", "none"])
def test_vectors_compose_with_what_is_known(store: Store, knowledge: Any) -> None:
    personalizer = personalizer_of(store)
    given = {"knowledge": knowledge, "budget": 30, "max_tokens": 8}
    free = personalizer.ask("ann", ASKED, **given)
    steered = personalizer.ask("ann", ASKED, steer=planted("ann"), **given)
    assert steered.text != free.text
    assert steered.steering is not None and steered.steering.level == "given"
    assert personalizer.ask("ann", ASKED, **given).text == free.text


def test_a_stream_leaves_its_caller_alone_and_closes_early(store: Store) -> None:
    personalizer, free = personalizer_of(store), logits()
    decoder = personalizer.loaded.model.get_decoder()
    hooks = len(decoder._forward_hooks)
    stream = personalizer.stream("ann", ASKED, steer=planted("ann"), knowledge="none", max_tokens=12)
    assert isinstance(next(stream), str)
    assert torch.equal(logits(), free)
    assert len(decoder._forward_hooks) == hooks + 1
    stream.close()  # type: ignore[attr-defined]
    assert len(decoder._forward_hooks) == hooks
    assert torch.equal(logits(), free)
    # Two at once, piece by piece: each is steered by its own.
    alone = {user: list(pieces(personalizer, user)) for user in ("ann", "bob")}
    one, two = pieces(personalizer, "ann"), pieces(personalizer, "bob")
    mixed: dict[str, list[str]] = {"ann": [], "bob": []}
    for _ in range(12):
        for user, made in (("ann", one), ("bob", two)):
            mixed[user] += [piece for piece in [next(made, None)] if piece is not None]
    assert mixed == alone
    assert alone["ann"] != alone["bob"]


def pieces(personalizer: Personalizer, user: str) -> Iterator[str]:
    given: dict[str, Any] = {"steer": planted(user), "knowledge": "none", "max_tokens": 8}
    return (one for one in personalizer.stream(user, ASKED, **given) if isinstance(one, str))


def test_threads_do_not_mix(store: Store) -> None:
    personalizer = personalizer_of(store)
    users = ("ann", "bob", "cat")
    steers: dict[str, Intervention | None] = {"ann": planted("ann"), "bob": planted("bob"), "cat": None}

    def ask(user: str) -> str:
        return personalizer.ask(user, ASKED, steer=steers[user], knowledge="none", max_tokens=10).text

    alone = {user: ask(user) for user in users}
    assert len(set(alone.values())) == 3
    found: dict[str, list[str]] = {user: [] for user in users}
    gate = threading.Barrier(len(users))

    def work(user: str) -> None:
        gate.wait()
        for _ in range(6):
            found[user].append(ask(user))

    threads = [threading.Thread(target=work, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {user: [alone[user]] * 6 for user in users}


def test_emphasis(store: Store) -> None:
    personalizer = personalizer_of(store)
    answer = personalizer.ask("ann", ASKED, steer="emphasis", budget=40, max_tokens=4)
    assert isinstance(answer, Answer) and answer.steering is not None and answer.profile is not None
    assert answer.steering.level == "emphasis"
    assert [term.record for term in answer.steering.terms] == [one.record_id for one in answer.profile.segments]
    with pytest.raises(InputError, match="knowledge 'profile'"):
        personalizer.ask("ann", ASKED, steer="emphasis", knowledge="none")


def test_places(tmp_path: Path) -> None:
    history = History([record("ann", number) for number in range(4)], "ann")
    with pytest.raises(InputError, match="nowhere to keep steering"):
        personalizer_of(None).fit_steering(history)
    folder = tmp_path / "cache" / ("b" * 64)
    personalizer = personalizer_of(None, steering_directory=lambda user: folder)
    assert personalizer.fit_steering(history, "ascent", pairs=3).samples == 3
    assert (folder / "banks").is_dir()
    assert personalizer.steered(history, ASKED).level in {"own", "none"}
    with pytest.raises(InputError, match="no steering method 'luck'"):
        personalizer.ask(history, ASKED, steer="luck", knowledge="none")
