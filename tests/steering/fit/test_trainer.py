"""What `steer fit` makes and keeps, on a tiny model: whole, piece by piece, and after erasures."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.errors import InputError, StoreError, UnknownUserError
from penchant.history.records import History, Record, Request
from penchant.steering.apply.context import steer_request
from penchant.steering.data.contrast import Contrast
from penchant.steering.data.contrast_file import ContrastFile
from penchant.steering.fit import trainer
from penchant.steering.fit.report import FitReport
from penchant.steering.fit.trainer import fit_user
from penchant.steering.methods.likelihood_gradient import LIKELIHOOD_GRADIENT
from penchant.steering.storage.bank_file import load_bank
from penchant.steering.storage.fitted_state import load_fitted, paths_in_folder, paths_in_store
from penchant.store import Store
from penchant.store.erasure.lineage import read_rows, sidecar_of, source_of
from tests.steering.cases import same
from tests.steering.people import LOADED, WORDING, choose_little, record, store_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_of(tmp_path / "store") as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_little(monkeypatch)


def fit(store: Store, user: str = "ann", method: str = "ascent", **options: Any) -> FitReport:
    return fit_user(paths_in_store(store, user), store.history(user), LOADED, WORDING, method, **options)


def files(store: Store, user: str = "ann", area: str = "banks") -> list[str]:
    return sorted(path.name for path in store.user_dir(area, user).glob("*"))


def shared(store: Store) -> list[str]:
    return sorted(path.name for path in (store.directory / "shared").glob("*"))


def same_kept(one: Store, other: Store, user: str = "ann", method: str = "ascent") -> bool:
    """The same bank, to the bit, in files of the same content, and the same check."""
    mine, theirs = (load_fitted(paths_in_store(store, user), LOADED, method) for store in (one, other))
    assert mine.bank is not None and theirs.bank is not None
    paths = [paths_in_store(store, user).bank(fitted.config) for store, fitted in ((one, mine), (other, theirs))]
    (tensors, sources, about), (others, *rest) = map(read_rows, paths)
    assert [sources, about] == rest
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    return same(mine.bank, theirs.bank) and mine.validation == theirs.validation


def test_a_config_of_others_a_bank_and_a_validation(store: Store) -> None:
    seen: list[tuple[str, int, int | None]] = []
    report = fit(store, progress=lambda *step: seen.append(step))
    config = report.config
    assert (report.shared, report.fitted, report.samples, report.read) == (True, True, 5, 5)
    assert (config.users, config.pairs, config.method) == (2, 10, "ascent")
    assert report.bytes == sum(path.stat().st_size for path in store.user_dir("banks", "ann").iterdir())
    assert ("reading answers", 5, 5) in seen
    (name,) = [name for name in shared(store) if name.endswith(".safetensors")]
    written = sidecar_of(store.directory / "shared" / name).read_text()
    assert all(str(source_of(user, f"{user}{i}")) in written for user in ("bob", "cat") for i in range(5))
    assert source_of("ann").user not in written  # what a user is steered by was chosen on others
    fitted = load_fitted(paths_in_store(store, "ann"), LOADED, "ascent")
    assert fitted.bank is not None
    assert [row.record for row in fitted.bank.rows] == [f"ann{i}" for i in range(5)]
    assert fitted.validation == report.validation
    assert report.validation.answers == 5
    document = report.as_dict()
    assert document["level"] == report.validation.level
    assert len(document["effects"]) == len(config.effects) > 3
    assert report.gain is None or report.gain == max(e.gain for e in config.effects if e.part == "own")


def test_only_what_is_new_is_read(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fit(store)
    checks: list[int] = []
    real = trainer.validate_user
    monkeypatch.setattr(trainer, "validate_user", lambda *a, **k: checks.append(1) or real(*a, **k))
    again = fit(store)
    assert (again.read, again.fitted, again.validation, checks) == (0, False, first.validation, [])
    assert again.config.origin == first.config.origin
    store.add("ann", [record("ann", 5)])
    more = fit(store)
    assert (more.read, more.samples, checks) == (1, 6, [1])
    with store_of(tmp_path / "scratch") as scratch:
        scratch.add("ann", [record("ann", 5)])
        fit(scratch)
        assert same_kept(store, scratch)


@pytest.mark.parametrize("storage", ["bfloat16", "int8"])
def test_a_forgotten_record_leaves_what_is_made_without_it(store: Store, tmp_path: Path, storage: Any) -> None:
    fit(store, storage=storage)
    store.forget_record("ann", "ann2")
    assert [row.record for row in _bank(store).rows] == ["ann0", "ann1", "ann3", "ann4"]
    assert (
        paths_in_store(store, "ann").check("ascent", LOADED.fingerprint).is_file() is False
    )  # its numbers were of it, too
    assert fit(store, storage=storage).read == 0
    with store_of(tmp_path / "scratch") as scratch:
        scratch.forget_record("ann", "ann2")
        fit(scratch, storage=storage)
        assert same_kept(store, scratch)


def _bank(store: Store, user: str = "ann") -> Any:
    fitted = load_fitted(paths_in_store(store, user), LOADED, "ascent")
    assert fitted.bank is not None
    return fitted.bank


def test_a_replaced_record_is_read_anew(store: Store, tmp_path: Path) -> None:
    fit(store)
    store.add("ann", [record("ann", 1, " changed")], replace=True)
    assert fit(store).read == 1
    with store_of(tmp_path / "scratch") as scratch:
        scratch.add("ann", [record("ann", 1, " changed")], replace=True)
        fit(scratch)
        assert same_kept(store, scratch)


def test_only_the_newest_pairs_are_kept(store: Store) -> None:
    assert fit(store, pairs=3).samples == 3
    assert [row.record for row in _bank(store).rows] == ["ann2", "ann3", "ann4"]
    assert (fit(store, pairs=2).read, len(_bank(store))) == (0, 2)


def test_another_storage_is_read_anew_and_so_is_a_damaged_file(store: Store) -> None:
    wide = fit(store)
    path = paths_in_store(store, "ann").bank(wide.config)
    small = fit(store, storage="int8")
    assert (small.read, small.bytes < wide.bytes, files(store)) == (5, True, files(store))
    path.write_bytes(path.read_bytes()[:-40])
    assert fit(store, storage="int8").read == 5


@pytest.mark.parametrize("users", [["ann"], ["ann", "bob"]])
def test_without_two_others_the_user_has_to_do(tmp_path: Path, users: list[str]) -> None:
    with store_of(tmp_path / "few", users) as store:
        report = fit(store)
        assert (report.shared, report.fitted, report.config.users, shared(store)) == (False, True, 1, [])
        assert any(name.startswith("steering-ascent-") for name in files(store))
        assert fit(store).fitted is False
        assert load_fitted(paths_in_store(store, "ann"), LOADED, "ascent").shared is False
        store.forget_record("ann", "ann0")  # the config was chosen on it
        assert not any(name.startswith("steering-") for name in files(store))
        with pytest.raises(InputError, match="penchant steer fit --user ann --store "):
            steer_request(LOADED, load_fitted(paths_in_store(store, "ann"), LOADED, "ascent"), "When?")
        fit(store)
        with store_of(tmp_path / "scratch", users) as scratch:
            scratch.forget_record("ann", "ann0")
            fit(scratch)
            assert same_kept(store, scratch)
        for name in ("cat", "dan"):
            store.add(name, [record(name, number) for number in range(4)])
        assert fit(store).shared
        assert not any(name.startswith("steering-") for name in files(store))


def test_a_new_config_leaves_no_bank_of_the_old_one(store: Store) -> None:
    first = fit(store)
    assert fit(store, "bob").fitted is False
    store.forget_record("cat", "cat0")  # the config was chosen on it
    assert shared(store) == []
    second = fit(store)
    assert second.fitted and second.config.origin != first.config.origin
    assert (second.read, len(files(store)), files(store, "bob")) == (5, 2, [files(store, "bob")[0]])
    assert not any(name.endswith(".safetensors") for name in files(store, "bob"))
    found = steer_request(LOADED, load_fitted(paths_in_store(store, "bob"), LOADED, "ascent"), "When?")
    assert (found.level, found.terms) in {("population", ()), ("none", ())}
    assert fit(store, refit=True).fitted


def test_forgetting_a_user_leaves_nothing(store: Store) -> None:
    for user in ("ann", "bob"):
        fit(store, user)
    ContrastFile(paths_in_store(store, "ann").contrasts, "ann").append([_thumbs()])
    receipt = store.forget("bob")  # whom the config was chosen on
    assert receipt.derived >= 1
    assert (shared(store), files(store, "bob")) == ([], [])
    store.forget("ann")
    named = [source_of(user).user.encode() for user in ("ann", "bob")]
    for path in store.directory.rglob("*"):
        if path.is_file():
            assert not any(name in path.read_bytes() for name in named), path
    assert files(store) == files(store, area="contrasts") == []
    with pytest.raises(UnknownUserError):
        fit(store)


def test_what_is_erased_while_it_is_read_is_not_written(store: Store) -> None:
    def erase(what: str, done: int, total: int | None) -> None:
        if (what, done) == ("reading answers", 2):
            store.forget_record("ann", "ann0")

    report = fit(store, progress=erase)
    assert (report.samples, "ann0" in {row.record for row in _bank(store).rows}) == (4, False)

    def erase_all(what: str, done: int, total: int | None) -> None:
        if (what, done) == ("reading answers", 1):
            store.forget("bob")

    with pytest.raises(StoreError, match="erased while they were read"):
        fit(store, "bob", progress=erase_all)
    assert files(store, "bob") == []

    def erase_other(what: str, done: int, total: int | None) -> None:
        if what == "comparing interventions" and store.holds("dan", "dan1"):
            store.forget_record("dan", "dan1")

    store.add("dan", [record("dan", number) for number in range(5)])
    with pytest.raises(StoreError, match="erased meanwhile"):
        fit(store, refit=True, progress=erase_other)


def _thumbs() -> Contrast:
    return Contrast(Request("Shall we?"), "OK. DONE. YES.", "I would be delighted.", "feedback")


def test_feedback_counts_as_a_sample(store: Store) -> None:
    fit(store)
    ContrastFile(paths_in_store(store, "ann").contrasts, "ann").append([_thumbs()])
    assert (fit(store).read, _bank(store).rows[-1].contrast, _bank(store).rows[-1].record) == (1, _thumbs().id, "")
    store.add("dan", [Record("Only read.", id="d0")])
    with pytest.raises(InputError, match="expected records with a 'text'"):
        fit(store, "dan")
    ContrastFile(paths_in_store(store, "dan").contrasts, "dan").append([_thumbs()])
    assert fit(store, "dan").samples == 1


@pytest.mark.parametrize("method", ["caa", "fints"])
def test_methods_that_read_contrasts(store: Store, method: str) -> None:
    report = fit(store, method=method, pairs=4)
    contrasts = ContrastFile(paths_in_store(store, "ann").contrasts, "ann").contrasts()
    assert {contrast.source for contrast in contrasts} == {"others"}
    assert report.samples == len(contrasts) == 4 - sum(report.skipped.values())
    assert ContrastFile(paths_in_store(store, "bob").contrasts, "bob").entries()  # of whom it was chosen on
    assert fit(store, method=method, pairs=4).read == 0
    donor = contrasts[0].donors[0]
    (user, name) = next(
        (user, f"{user}{i}") for user in ("bob", "cat") for i in range(5) if source_of(user, f"{user}{i}") == donor
    )
    store.forget_record(user, name)
    left = ContrastFile(paths_in_store(store, "ann").contrasts, "ann").contrasts()
    assert all(donor not in contrast.donors for contrast in left)
    assert len(left) < len(contrasts)
    rows = [
        row for path in store.user_dir("banks", "ann").glob(f"{method}-*.safetensors") for row in read_rows(path)[1]
    ]
    assert all(donor not in row for row in rows)


def test_alone_contrasts_are_made_without_donors(tmp_path: Path) -> None:
    with store_of(tmp_path / "one", ["ann"]) as store:
        fit(store, method="caa", pairs=3)
        found = ContrastFile(paths_in_store(store, "ann").contrasts, "ann").contrasts()
        assert {contrast.source for contrast in found} == {"none"}


def test_a_history_file_has_a_folder_of_its_own(tmp_path: Path) -> None:
    history = History([record("ann", number) for number in range(5)], "ann")
    paths = paths_in_folder(tmp_path / "cache" / "steering" / ("a" * 64), "ann")
    report = fit_user(paths, history, LOADED, WORDING)
    assert (report.shared, report.samples) == (False, 5)
    assert fit_user(paths, history, LOADED, WORDING).read == 0
    assert steer_request(LOADED, load_fitted(paths, LOADED, "ascent"), "When?").level == report.validation.level
    assert load_bank(paths.bank(report.config), report.config.origin).rows


def test_pairs_that_do_not_fit_are_left_out(store: Store) -> None:
    store.add("ann", [replace(record("ann", 9), text="word " * 400, id="long")])
    report = fit(store)
    assert (report.samples, report.skipped) == (5, {trainer.TOO_LONG: 1})
    with store_of(store.directory / "other", []) as other:
        other.add("ann", [replace(record("ann", 9), text="word " * 400, id="long")])
        with pytest.raises(InputError, match="no sample of the user can be used"):
            fit(other)


def test_what_cannot_be_kept_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="mixes several records in each vector"):
        fit(store, method="fints-prompt")
    with pytest.raises(InputError, match="no steering method"):
        fit(store, method="luck")


def test_users_are_drawn_with_a_seed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add("dan", [record("dan", number) for number in range(3)])  # too few pairs
    assert fit(store).config.users == 2
    store.add("dan", [record("dan", number) for number in range(3, 6)])
    monkeypatch.setattr(trainer, "FIT_USERS", 2)
    monkeypatch.setattr(trainer, "FIT_PAIRS", 4)
    report = fit(store, refit=True)
    assert (report.config.users, report.config.pairs) == (2, 8)
    paths, progress = paths_in_store(store, "ann"), lambda what, done, total: None
    drawn = {
        tuple(trainer._Fit(paths, LOADED, WORDING, LIKELIHOOD_GRADIENT, None, seed, progress).other_users())
        for seed in range(9)
    }
    assert {"".join(sorted(names)) for names in drawn} == {"bobcat", "bobdan", "catdan"}
