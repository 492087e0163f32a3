"""Adapters in one loaded model: nobody reads keys that another's adapter wrote."""

import logging
from pathlib import Path

import numpy as np
import pytest

from penchant.history.records import History, Record
from penchant.history.segmentation import segment
from penchant.index.attention import AttentionIndex
from penchant.index.encode import Encoder
from penchant.index.pool import IndexPool
from penchant.lens.calibration import calibration_for, save_calibration
from penchant.lens.lens import Lens
from penchant.models.loading import LoadedModel, wrap_model
from tests.families import tiny_network, tiny_tokenizer
from tests.index.cases import calibration_of
from tests.models.test_identity import adapter

RECORDS = [Record("I am allergic to peanuts."), Record("The meeting is on Tuesday."), Record("Letters about a film.")]


def encoder_of(loaded: LoadedModel) -> Encoder:
    lens = Lens(loaded)
    return Encoder(lens, calibration_of(lens))


def two_people() -> LoadedModel:
    network = tiny_network("llama")
    loaded = wrap_model(network, tiny_tokenizer(), "tiny")
    adapter(network, "ann", 1)
    adapter(network, "bob", 2)
    return loaded


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_index_is_read_under_its_own_adapter_only(
    on_disk: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded, history = two_people(), History(RECORDS, user="kim")
    segments = segment(history)
    encoder = encoder_of(loaded)
    pool = IndexPool(encoder, lambda user: tmp_path / user if on_disk else None)

    def score(name: str) -> tuple[np.ndarray, int, int]:
        loaded.model.set_adapter(name)  # type: ignore[no-untyped-call]
        index, change = pool.open(history)
        scores, fed = index.score(history, segments, "peanuts?")
        return scores, change.tokens_encoded, fed

    ann, encoded, fed = score("ann")
    assert encoded > fed
    with caplog.at_level(logging.WARNING):
        bob, again, _ = score("bob")
    assert again == encoded and "the adapters of tiny have changed" in caplog.text
    assert np.abs(ann - bob).max() > 0.01

    alone = two_people()
    alone.model.set_adapter("bob")  # type: ignore[no-untyped-call]
    expected, _ = AttentionIndex(encoder_of(alone)).score(history, segments, "peanuts?")
    assert bob == pytest.approx(expected, abs=1e-5)
    back, encoded_back, _ = score("ann")
    assert back == pytest.approx(ann, abs=1e-6) and encoded_back == (0 if on_disk else encoded)


def test_a_switch_between_opening_and_scoring_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    loaded, history = two_people(), History(RECORDS)
    loaded.model.set_adapter("ann")  # type: ignore[no-untyped-call]
    index = AttentionIndex(encoder_of(loaded))
    index.sync(history)
    loaded.model.set_adapter("bob")  # type: ignore[no-untyped-call]
    scores, fed = index.score(history, segment(history), "peanuts?")
    assert fed > index.tokens and "have changed" in caplog.text
    expected, _ = AttentionIndex(encoder_of(loaded)).score(history, segment(history), "peanuts?")
    assert scores == pytest.approx(expected, abs=1e-6)


def test_an_adapter_is_read_with_the_calibration_of_its_model(tmp_path: Path) -> None:
    loaded = two_people()
    loaded.model.disable_adapters()  # type: ignore[no-untyped-call]
    save_calibration(encoder_of(loaded).calibration, tmp_path / "a.json")
    loaded.model.enable_adapters()  # type: ignore[no-untyped-call]
    loaded.model.set_adapter("bob")  # type: ignore[no-untyped-call]
    assert calibration_for(loaded, tmp_path).model_fingerprint == loaded.identity.base != loaded.fingerprint
