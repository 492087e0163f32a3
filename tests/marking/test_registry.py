import dataclasses
from pathlib import Path

import numpy as np
import pytest

from penchant.errors import InputError, ModelError
from penchant.history.records import Request
from penchant.index.score import standardise
from penchant.lens.calibration import Calibration, save_calibration
from penchant.lens.conditional_logit import with_neighbours
from penchant.marking import fusion
from penchant.marking import resources as resources_module
from penchant.marking.fusion import UNFITTED
from penchant.marking.marks import Marker
from penchant.marking.recency import recency
from penchant.marking.registry import DEFAULT_MARKER, MARKERS, make_marker
from penchant.marking.resources import Resources
from tests.families import save_tiny, tiny
from tests.index.cases import calibration_of, lens_of
from tests.marking.cases import history_of, whole_records

HISTORY = history_of(
    ["I like long walks by the sea.", "A sad film.", "Peanuts!", "She wrote three letters.", "Tuesday."]
)
ASKED = Request("Who wrote letters about the sea?")


@pytest.fixture(autouse=True)
def no_own_calibrations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(resources_module, "user_calibrations", lambda: tmp_path / "calibrations")
    return tmp_path / "calibrations"


def without_dense(resources: Resources) -> Marker:
    raise ModelError("the dense encoder isn't installed")


def calibrated(**changes: object) -> Resources:
    lens = lens_of()
    return Resources(lens.loaded, calibration=calibration_of(lens, **changes))


@pytest.mark.parametrize("name", sorted(MARKERS))
def test_every_marker_marks_and_says_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "dense":
        try:
            fusion.dense(calibrated())
        except ModelError as error:
            pytest.skip(str(error))
    if name == "fusion":
        monkeypatch.setattr(fusion, "dense", without_dense)
    marks = make_marker(name, calibrated())(HISTORY, ASKED, whole_records(HISTORY))
    assert marks.marker == name
    assert marks.scores.shape == (5,)
    assert np.isfinite(marks.scores).all()


def test_the_default_is_there() -> None:
    assert DEFAULT_MARKER in MARKERS


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no marker 'atention': expected one of fusion, attention, attn-gs, bm25"):
        make_marker("atention", Resources("nothing is loaded for this"))


def test_nothing_is_loaded_for_a_marker_without_a_model() -> None:
    resources = Resources("/no/such/model")
    for name in ("bm25", "recency", "random"):
        make_marker(name, resources)(HISTORY, ASKED, whole_records(HISTORY))
    with pytest.raises(ModelError, match="/no/such/model does not exist"):
        make_marker("attention", resources)


def test_a_model_without_a_calibration_is_told_and_can_still_be_read_as_published() -> None:
    resources = Resources(lens_of().loaded)
    for name in ("attention", "fusion"):
        with pytest.raises(ModelError, match=r"no calibration for tiny-llama.*heads discover --model tiny-llama"):
            make_marker(name, resources)
    make_marker("attn-gs", resources)(HISTORY, ASKED, whole_records(HISTORY))
    make_marker("surprisal", resources)(HISTORY, ASKED, whole_records(HISTORY))


def test_a_discovered_calibration_is_found(no_own_calibrations: Path, tmp_path: Path) -> None:
    lens = lens_of()
    made = calibration_of(lens)
    save_calibration(made, no_own_calibrations / "tiny.json")
    assert Resources(lens.loaded).calibration == made
    directory = save_tiny("llama", tmp_path / "tiny")
    resources = Resources(directory)
    assert resources.loaded.fingerprint == lens.loaded.fingerprint
    assert resources.calibration == made


def test_a_calibration_of_another_model_is_refused() -> None:
    lens = lens_of()
    wrong = calibration_of(lens, heads=((7, 0),), weights=(1.0,))
    with pytest.raises(ModelError, match=r"reads head 7\.0, but tiny-llama has 4 layers"):
        make_marker("attention", Resources(lens.loaded, calibration=wrong))


def parts_of(resources: Resources) -> tuple[np.ndarray, np.ndarray]:
    plain = dataclasses.replace(resources.calibration, previous=0.0, following=0.0)
    read = make_marker("attention", Resources(resources.loaded, calibration=plain))
    scores = [mark(HISTORY, ASKED, whole_records(HISTORY)).scores for mark in (read, make_marker("bm25", resources))]
    return standardise(scores[0]), standardise(scores[1])


FITTED = {"attention": 0.9, "bm25": 0.3, "previous": 0.4, "following": 0.15}
WITH_DENSE = {"attention": 1.0, "bm25": 1.0, "dense": 5.0, "previous": 0.0, "following": 0.0}


def test_fusion_without_dense_takes_the_weights_fitted_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "dense", without_dense)
    resources = calibrated(fusion={"attention+bm25": FITTED, "attention+bm25+dense": WITH_DENSE}, previous=0.9)
    marks = make_marker("fusion", resources)(HISTORY, ASKED, whole_records(HISTORY))
    read, lexical = parts_of(resources)
    np.testing.assert_allclose(marks.scores, with_neighbours(0.9 * read + 0.3 * lexical, 0.4, 0.15), atol=1e-4)
    assert marks.heads == resources.calibration.heads


def test_fusion_with_dense_takes_the_weights_fitted_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "dense", lambda resources: recency())  # any third marker
    resources = calibrated(fusion={"attention+bm25": FITTED, "attention+bm25+dense": WITH_DENSE})
    marks = make_marker("fusion", resources)(HISTORY, ASKED, whole_records(HISTORY))
    read, lexical = parts_of(resources)
    place = standardise(np.arange(5, dtype=np.float32))
    np.testing.assert_allclose(marks.scores, read + lexical + 5 * place, atol=1e-4)


def test_a_calibration_without_fusion_weights_still_gives_the_default_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "dense", without_dense)
    resources = calibrated(previous=0.2, following=0.1)
    marks = make_marker("fusion", resources)(HISTORY, ASKED, whole_records(HISTORY))
    read, lexical = parts_of(resources)
    expected = UNFITTED["attention"] * read + UNFITTED["bm25"] * lexical
    np.testing.assert_allclose(marks.scores, with_neighbours(expected, 0.2, 0.1), atol=1e-4)


def test_fusion_weights_that_lack_a_marker_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "dense", without_dense)
    with pytest.raises(ModelError, match="has no fusion weight for bm25: expected one for each of attention, bm25"):
        make_marker("fusion", calibrated(fusion={"attention+bm25": {"attention": 1.0}}))


def test_resources_pass_on_where_and_how_indexes_are_kept(tmp_path: Path) -> None:
    lens = lens_of()
    said: list[tuple[int, int | None]] = []
    resources = Resources(
        lens.loaded,
        calibration=calibration_of(lens),
        directory=lambda user: tmp_path / user,
        storage="int8",
        limit=123,
        progress=lambda step, done, total: said.append((done, total)),
    )
    pool = resources.indexes
    assert pool is resources.indexes
    assert (pool.storage, pool.limit) == ("int8", 123)
    history = type(HISTORY)(HISTORY.records, "ann")
    make_marker("attention", resources)(history, ASKED, whole_records(history))
    assert said[-1] == (5, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["ann"]


def test_resources_keep_one_index_for_all_its_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "dense", without_dense)
    resources = calibrated()
    first = make_marker("attention", resources)(HISTORY, ASKED, whole_records(HISTORY))
    second = make_marker("fusion", resources)(HISTORY, ASKED, whole_records(HISTORY))
    assert second.tokens_fed == first.tokens_fed - first.history_tokens
    assert isinstance(resources.calibration, Calibration)
    assert tiny("llama").fingerprint == resources.loaded.fingerprint
