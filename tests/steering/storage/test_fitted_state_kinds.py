"""Other ways to compare samples, to let them age and to store them: kept, used by requests, and erased."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.personalizer import Personalizer
from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.apply.context import FittedSteering, Steering, ValidationResult, steer_request
from penchant.steering.config import read_config
from penchant.steering.data.contrast import Contrast
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.fit.report import FitReport
from penchant.steering.fit.trainer import fit_user
from penchant.steering.methods.registry import VECTOR_METHODS
from penchant.steering.storage.bank import Bank
from penchant.steering.storage.fitted_state import (
    SteeringPaths,
    load_fitted,
    paths_in_folder,
    paths_in_store,
    summaries,
)
from penchant.store import Store
from penchant.store.erasure.lineage import read_rows, source_of
from tests.steering.cases import same
from tests.steering.people import ASKED, BEGAN, LOADED, WORDING, choose_little, record, store_of

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_of(tmp_path / "store") as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_little(monkeypatch)


def fit(store: Store, user: str = "ann", method: str = "ascent", **options: Any) -> FitReport:
    return fit_user(paths_in_store(store, user), store.history(user), LOADED, WORDING, method, **options)


def bank_of(paths: SteeringPaths, method: str = "ascent") -> Bank:
    bank = load_fitted(paths, LOADED, method).bank
    assert bank is not None
    return bank


def ask(paths: SteeringPaths, query: str, days: float = 100, records: Sequence[Record] = ()) -> Steering:
    """As a request would be, whatever a check of a random model says. records: of a file."""
    fitted = load_fitted(paths, LOADED, "ascent", lambda: records)
    now = BEGAN + timedelta(days=days)
    return steer_request(LOADED, replace(fitted, validation=ValidationResult("own")), query, now=now)


def weigh(monkeypatch: pytest.MonkeyPatch, aggregation: Aggregation) -> None:
    monkeypatch.setitem(VECTOR_METHODS.loaded, "ascent", replace(VECTOR_METHODS["ascent"], aggregations=(aggregation,)))


def test_a_request_is_compared_by_the_words_of_records(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    weigh(monkeypatch, Aggregation(top=1))
    report = fit(store, similarity="bm25")
    assert (report.config.similarity, report.as_dict()["similarity"]) == ("bm25", "bm25")
    paths = paths_in_store(store, "ann")
    fitted = load_fitted(paths, LOADED, "ascent")
    assert fitted.validation == report.validation
    assert sorted(fitted.texts.values()) == sorted(one.text for one in store.history("ann"))
    for number in range(5):
        (term,) = ask(paths, f"Tell me again: {ASKED[number]}").terms
        assert term.record == f"ann{number}"
    # No text is beside the vectors, nor in the setting.
    for path in [*paths.banks.iterdir(), *(store.directory / "shared").iterdir()]:
        assert not any(word in path.read_bytes() for word in (b"When do we meet", b"bring")), path
    # A record that goes takes its row along; the others are found as before.
    store.forget_record("ann", "ann2")
    assert load_fitted(paths, LOADED, "ascent").texts.keys() == {row.contrast for row in bank_of(paths).rows}
    assert ask(paths, ASKED[2]).terms[0].record != "ann2"
    assert ask(paths, ASKED[3]).terms[0].record == "ann3"


def test_texts_of_what_is_gone_are_not_found(store: Store) -> None:
    ContrastFile(paths_in_store(store, "ann").contrasts, "ann").append(
        [Contrast(Request("Shall we?"), "OK. DONE. YES.", "I would be delighted.", "feedback")]
    )
    fit(store)
    paths = paths_in_store(store, "ann")
    bank = bank_of(paths)
    told = paths.inputs(bank, tuple)
    assert list(told.values()) == [*(one.text for one in store.history("ann")), "Shall we?"]
    # Of a record that was replaced, what it says now; of one that went meanwhile, nothing.
    store.add("ann", [replace(record("ann", 1), text="Another question")], replace=True)
    store.forget_record("ann", "ann3")
    left = paths.inputs(bank, tuple)
    assert left == {**{row.contrast: told[row.contrast] for row in bank.rows if row.record != "ann3"},
                    bank.rows[1].contrast: "Another question"}  # fmt: skip
    (paths.contrasts / "contrasts.jsonl").unlink()
    assert bank.rows[-1].contrast not in paths.inputs(bank, tuple)


def test_contrasts_bring_their_own_input(store: Store) -> None:
    fit(store, method="caa", pairs=3, similarity="bm25")
    paths = paths_in_store(store, "ann")
    fitted = load_fitted(paths, LOADED, "caa")
    assert fitted.bank is not None
    by_record = {one.id: one.text for one in store.history("ann")}
    assert fitted.texts == {row.contrast: by_record[row.record] for row in fitted.bank.rows}


def test_a_file_that_lost_a_record_is_compared_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weigh(monkeypatch, Aggregation(top=1))
    records = [record("ann", number) for number in range(5)]
    folder = tmp_path / "cache" / ("a" * 64)

    paths = paths_in_folder(folder, "ann")
    report = fit_user(paths, History(records, "ann"), LOADED, WORDING, similarity="bm25")
    assert report.config.similarity == "bm25"
    assert ask(paths, ASKED[2], records=records).terms[0].record == "ann2"
    assert ask(paths, ASKED[2], records=records[:2]).terms[0].record in {"ann0", "ann1"}
    assert ask(paths, ASKED[2]).terms == ()


def test_the_personalizer_gives_the_records_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[FittedSteering] = []

    def load(*given: Any) -> FittedSteering:
        loads.append(load_fitted(*given))
        return loads[-1]

    monkeypatch.setattr("penchant.personalizer.load_fitted", load)
    history = History([record("ann", number) for number in range(5)], "ann")
    personalizer = Personalizer(LOADED, marker="recency", steering_directory=lambda user: tmp_path / ("b" * 64))
    personalizer.fit_steering(history, similarity="bm25")
    personalizer.steered(history, ASKED[0])
    assert list(loads[0].texts.values()) == [one.text for one in history]


def test_older_answers_count_less(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    weigh(monkeypatch, Aggregation(top=None, weights="uniform"))
    report = fit(store, half_life=2.0)
    assert report.config.aggregation.half_life == report.as_dict()["half_life"] == 2.0
    paths = paths_in_store(store, "ann")
    assert load_fitted(paths, LOADED, "ascent").validation == report.validation
    terms = ask(paths, ASKED[0]).terms
    assert [term.record for term in terms] == ["ann4", "ann3", "ann2", "ann1", "ann0"]
    assert [term.weight / terms[0].weight for term in terms] == pytest.approx([2 ** -(n / 2) for n in range(5)])
    assert [term.days for term in terms] == pytest.approx([96, 97, 98, 99, 100])


def test_another_kind_is_not_chosen_behind_ones_back(store: Store) -> None:
    fit(store)
    for options in ({"similarity": "bm25"}, {"half_life": 3.0}):
        with pytest.raises(
            InputError, match=r"the configuration of ascent has .* (hidden|none), not .*; --refit chooses anew"
        ):
            fit(store, **options)
        with pytest.raises(InputError, match="--refit"):
            fit(store, "bob", **options)
    first = fit(store, similarity="hidden")
    assert first.fitted is False
    second = fit(store, similarity="bm25", half_life=3.0, refit=True)
    assert second.fitted and second.config.similarity == "bm25"
    # Whoever asks for nothing in particular gets what was chosen; and chooses anew without it.
    third = fit(store, "bob")
    assert (third.fitted, third.config.similarity, third.config.aggregation.half_life) == (False, "bm25", 3.0)
    again = fit(store, refit=True)
    assert (again.config.similarity, again.config.aggregation.half_life) == ("hidden", None)


def test_a_user_alone_chooses_the_kind_anew_with_the_others(tmp_path: Path) -> None:
    with store_of(tmp_path / "alone", ["ann"]) as store:
        fit(store)
        with pytest.raises(InputError, match="on at least two others"):
            fit(store, similarity="bm25")
        assert fit(store, similarity="bm25", refit=True).config.similarity == "bm25"
        for name in ("cat", "dan"):
            store.add(name, [record(name, number) for number in range(4)])
        report = fit(store, similarity="hidden")  # chosen now, on them
        assert (report.shared, report.config.similarity) == (True, "hidden")


def test_a_check_is_of_one_kind(store: Store) -> None:
    fit(store)
    paths = paths_in_store(store, "ann")
    (path,) = (store.directory / "shared").glob("*.safetensors")
    config = read_config(path, "ascent", LOADED.fingerprint)
    assert config is not None
    validation = load_fitted(paths, LOADED, "ascent").validation
    assert validation is not None and validation.answers == 5
    everyone = {site: torch.ones_like(config.centre) for site in config.sites}
    path.write_bytes(replace(config, similarity="bm25", population=everyone).to_bytes())
    fitted = load_fitted(paths, LOADED, "ascent")
    assert fitted.bank is not None and len(fitted.bank) == 5  # a bank is there, and doesn't count
    found = steer_request(LOADED, fitted, ASKED[0])
    assert (found.level, found.terms) == ("population", ())
    assert found.reason.startswith("not checked since records were erased: run `penchant steer fit --user ann ")


def test_low_rank_rows_are_written_on_what_all_users_share(store: Store) -> None:
    wide = fit(store)
    report = fit(store, storage="low-rank")
    assert (report.read, report.storage, report.bytes < wide.bytes) == (5, "low-rank", True)
    paths = paths_in_store(store, "ann")
    (one,) = summaries(paths)
    assert (one["storage"], one["bytes"], one["rows"]) == ("low-rank", report.bytes, 5)
    fitted = load_fitted(paths, LOADED, "ascent")
    assert fitted.bank is not None and fitted.config.basis is not None
    assert read_rows(paths.bank(fitted.config))[2]["basis"] == fitted.config.basis.fingerprint
    assert fitted.validation == report.validation
    ask(paths, ASKED[0])
    assert fit(store, storage="low-rank").read == 0


def test_a_forgotten_record_leaves_low_rank_rows_as_a_fit_without_it(store: Store, tmp_path: Path) -> None:
    fit(store, storage="low-rank")
    store.forget_record("ann", "ann2")
    paths = paths_in_store(store, "ann")
    assert [row.record for row in bank_of(paths).rows] == ["ann0", "ann1", "ann3", "ann4"]
    store.add("ann", [record("ann", 5)])
    assert fit(store, storage="low-rank").read == 1
    with store_of(tmp_path / "scratch") as scratch:
        scratch.forget_record("ann", "ann2")
        scratch.add("ann", [record("ann", 5)])
        fit(scratch, storage="low-rank")
        there = paths_in_store(scratch, "ann")
        assert same(bank_of(paths), bank_of(there))
        one, other = (read_rows(p.bank(load_fitted(p, LOADED, "ascent").config)) for p in (paths, there))
        assert all(torch.equal(one[0][name], other[0][name]) for name in one[0]) and one[1:] == other[1:]


def test_what_all_users_share_goes_with_each_of_them(store: Store) -> None:
    for user in ("ann", "bob"):
        fit(store, user, storage="low-rank")
    store.forget_record("bob", "bob1")  # the basis was made of it
    assert list((store.directory / "shared").iterdir()) == []
    with pytest.raises(InputError, match="penchant steer fit --user ann"):
        load_fitted(paths_in_store(store, "ann"), LOADED, "ascent")
    report = fit(store, storage="low-rank")
    assert (report.fitted, report.read) == (True, 5)
    named = source_of("bob", "bob1")
    for path in store.directory.rglob("*"):
        assert not (path.is_file() and str(named).encode() in path.read_bytes()), path


def test_a_new_basis_makes_old_rows_stale(store: Store) -> None:
    fit(store, storage="low-rank")
    paths = paths_in_store(store, "ann")
    config, basis = load_fitted(paths, LOADED, "ascent").config, bank_of(paths)
    (path,) = (store.directory / "shared").glob("*.safetensors")
    assert config.basis is not None and len(basis) == 5
    other = replace(config, basis=replace(config.basis, keys=-config.basis.keys))
    path.write_bytes(other.to_bytes())
    assert load_fitted(paths, LOADED, "ascent").bank is None
    assert fit(store, storage="low-rank").read == 5
    path.write_bytes(replace(config, basis=None).to_bytes())
    with pytest.raises(InputError, match=r"from an earlier version, without a basis .*--refit"):
        fit(store, storage="low-rank")
    assert fit(store).read == 5
