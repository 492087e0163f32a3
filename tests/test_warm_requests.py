"""A request costs its own tokens: what it reads of the store, and what goes through the models, in a first process and
in a second one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from penchant import History, Personalizer, Record, Request, Store
from penchant.compression.budget import history_counter
from penchant.errors import StoreError, UnknownUserError
from penchant.inference.sentence_encoder import Embedded, Encoder
from penchant.marking import resources as module
from penchant.marking.dense import Embeddings
from tests.index.cases import calibration_of, encoder_of, lens_of, model_calls, texts
from tests.marking.tiny_encoder import tiny_encoder

REQUEST = "a walk by the sea"


@pytest.fixture(autouse=True)
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tiny_encoder(tmp_path / "encoder")
    monkeypatch.setattr(module, "Embeddings", lambda: Embeddings(where))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        made.add("ann", records(30))
        yield made


def records(count: int, first: int = 0) -> list[Record]:
    return [Record(text, id=f"r{first + i}") for i, text in enumerate(texts(count, seed=first))]


def personalizer_of(store: Store, marker: str = "fusion") -> Personalizer:
    """What a new process has: nothing in memory."""
    lens = lens_of()
    return Personalizer(lens.loaded, store=store, marker=marker, calibration=calibration_of(lens))


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    seen: list[str] = []

    def watch(connection: object, cursor: object, sql: str, *rest: object) -> None:
        if not sql.startswith("BEGIN"):
            seen.append(sql)

    sa.event.listen(store._engine, "before_cursor_execute", watch)
    try:
        yield seen
    finally:
        sa.event.remove(store._engine, "before_cursor_execute", watch)


@contextmanager
def records_built() -> Iterator[list[str]]:
    built: list[str] = []
    real = Record.__init__

    def watch(self: Record, *values: Any, **named: Any) -> None:
        real(self, *values, **named)
        built.append(self.id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "__init__", watch)
        yield built


@contextmanager
def encoder_tokens() -> Iterator[list[int]]:
    """Tokens of every text that the sentence encoder is given."""
    fed: list[int] = []
    real = Encoder.encode

    def watch(self: Encoder, given: list[str]) -> list[Embedded]:
        rows = real(self, given)
        fed.extend(row.fed for row in rows)
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "encode", watch)
        yield fed


@pytest.mark.parametrize("marker", ["fusion", "attention", "dense", "bm25"])
def test_a_warm_request_asks_the_store_for_a_revision_and_nothing_else(store: Store, marker: str) -> None:
    personalizer = personalizer_of(store, marker)
    calls = [
        lambda: personalizer.mark("ann", REQUEST),
        lambda: personalizer.compress("ann", REQUEST, "10%"),
        lambda: personalizer.ask("ann", REQUEST, budget="10%", max_tokens=2),
    ]
    for call in calls:
        call()
    for call in calls:
        with statements(store) as sql, records_built() as built:
            call()
        assert built == []
        assert [one.split("\n")[0] for one in sql] == ["SELECT users.revision "]


def test_what_another_process_changes_is_seen_at_once(store: Store, tmp_path: Path) -> None:
    personalizer = personalizer_of(store)

    def marked() -> set[str]:
        return {segment.text for segment in personalizer.mark("ann", REQUEST).segments}

    assert "By the sea." not in marked()
    with Store(tmp_path / "store") as other:
        other.add("ann", [Record("By the sea.", id="new")])
        assert "By the sea." in marked()
        other.add("ann", [Record("By the lake.", id="new")], replace=True)
        assert "By the sea." not in marked() and "By the lake." in marked()
        other.forget_record("ann", "new")
        assert "By the lake." not in marked()
        other.forget("ann")
        with pytest.raises(UnknownUserError):
            marked()
        other.add("ann", [Record("Somebody else.", id="r1")])
        assert marked() == {"Somebody else."}
        tokens = personalizer.compress("ann", REQUEST, 50).history_tokens
        assert tokens == history_counter(personalizer.loaded.tokenizer)(store.history("ann"))


def test_a_second_process_runs_the_request_alone(store: Store) -> None:
    store.add("bob", records(3))

    def run(user: str, personalizer: Personalizer) -> tuple[int, int, int]:
        with model_calls(personalizer.resources.lens) as model, encoder_tokens() as encoder:
            marks = personalizer.mark(user, REQUEST)
        return marks.tokens_fed, sum(model), sum(encoder)

    for user in ("ann", "bob"):
        cold = run(user, personalizer_of(store))
        assert cold[1] > 100 or user == "bob"
    of_many, of_few = (run(user, personalizer_of(store)) for user in ("ann", "bob"))
    assert of_many == of_few  # no matter how long the history is
    assert of_many[2] == 5 + 2  # the request's words, and the special tokens around them
    assert of_many[1] == run_alone()  # and nothing that is the same for every request
    warm = personalizer_of(store)
    warm.mark("ann", "another question")
    assert run("ann", warm)[0] == of_many[0]


def run_alone() -> int:
    """How many tokens the model reads of the request: its own, behind the calibration's prefix."""
    encoder = encoder_of()
    with model_calls(encoder.lens) as fed:
        encoder.requests([REQUEST])
    return sum(fed)


def test_of_a_history_that_has_grown_only_what_is_new_is_run(store: Store) -> None:
    personalizer_of(store, "dense").mark("ann", REQUEST)
    store.add("ann", [Record("e f g", id="new")])
    with encoder_tokens() as fed:
        marks = personalizer_of(store, "dense").mark("ann", "h")
    assert sorted(fed) == [3, 5]
    alone = personalizer_of(store, "dense").marker(History(store.history("ann")), Request("h"), marks.segments)
    np.testing.assert_allclose(alone.scores, marks.scores, atol=1e-6)


def test_a_history_is_counted_once_for_all_processes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = personalizer_of(store, "bm25")
    expected = first.compress("ann", REQUEST, "10%").budget
    second = personalizer_of(store, "bm25")
    monkeypatch.setattr(second._histories, "_count", lambda history: 1 / 0)
    assert second.compress("ann", REQUEST, "10%").budget == expected
    store.add("ann", records(1, first=100))
    with pytest.raises(ZeroDivisionError):
        second.compress("ann", REQUEST, "10%")


def test_a_store_that_cannot_be_written_costs_a_count_not_the_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise StoreError("the store is full")

    monkeypatch.setattr(store, "keep_token_count", full)
    assert personalizer_of(store, "bm25").compress("ann", REQUEST, "10%").text
    assert "the store is full" in caplog.text


def test_vectors_are_erased_with_their_record_and_their_user(store: Store) -> None:
    where = store.index_dir("ann")
    personalizer_of(store, "dense").mark("ann", REQUEST)

    def kept() -> int:
        manifests = [json.loads(file.read_text()) for file in where.rglob("manifest.json")]
        return sum(len(chunk["records"]) for one in manifests for chunk in one["chunks"])

    assert kept() == 30
    store.forget_record("ann", "r3", keep_index=True)
    personalizer_of(store, "dense").mark("ann", REQUEST)
    assert kept() == 29 and not any('"r3"' in file.read_text() for file in where.rglob("manifest.json"))
    store.forget_record("ann", "r4")
    assert not where.exists()
    personalizer_of(store).mark("ann", REQUEST)
    files = [file for file in where.rglob("*") if file.is_file()]
    assert len({file.parent for file in files}) == 3  # keys, the neutral query and vectors beside them
    receipt = store.forget("ann")
    assert receipt.files == len(files)
    assert not where.exists()


def test_a_text_in_a_file_of_vectors_is_found_by_the_search_behind_an_erasure(store: Store) -> None:
    store.add("bob", records(3, first=200))
    personalizer_of(store, "dense").mark("bob", REQUEST)
    secret = "a sentence of at least eight words that only ann ever wrote"
    store.add("ann", [Record(secret, id="s")])
    (manifest,) = store.index_dir("bob").rglob("manifest.json")
    manifest.write_text(manifest.read_text() + secret)  # as a fault in the index might
    with pytest.raises(StoreError, match=r"manifest\.json"):
        store.forget("ann")
