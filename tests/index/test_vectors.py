"""Sentence vectors: kept equal to the history in memory and on disk, and run once."""

import logging
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from penchant.history.records import History, Record, Segment
from penchant.history.segmentation import Unit, segment
from penchant.index import chunk_list
from penchant.index.pool import VectorPool
from penchant.index.vectors import VectorIndex
from penchant.marking.dense import Embeddings
from tests.marking.tiny_encoder import tiny_encoder

TEXTS = ["a b c? D e f!", "g h", "i j k l", "m", "n o? P q? R s."]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def embed(encoder: Path) -> Embeddings:
    return Embeddings(encoder, keep=1)  # next to no memory of its own


def history_of(texts: list[str], user: str = "ann") -> History:
    return History([Record(text, id=f"{text[0]}") for text in texts], user)


def rows_on_disk(where: Path) -> list[tuple[int, int]]:
    return [tuple(span) for file in where.rglob("*.safetensors") for span in load_file(file)["spans"].tolist()]


def wanted(encoder: Path, segments: tuple[Segment, ...]) -> np.ndarray:
    return np.stack([Embeddings(encoder)([one.text])[0][0].vector for one in segments])


def test_a_second_process_runs_nothing(encoder: Path, embed: Embeddings, tmp_path: Path) -> None:
    history = history_of(TEXTS)
    segments = segment(history, "sentence")
    first, fed = VectorIndex(embed, tmp_path).vectors(history, segments)
    assert fed == sum(first.tokens) + 2 * len(segments)
    np.testing.assert_allclose(first.vectors, wanted(encoder, segments), atol=1e-6)
    again, fed = VectorIndex(Embeddings(encoder), tmp_path).vectors(history_of(TEXTS), segments)
    assert fed == 0
    np.testing.assert_array_equal(again.vectors, first.vectors)
    np.testing.assert_array_equal(again.tokens, first.tokens)


def test_records_come_go_and_change(encoder: Path, embed: Embeddings, tmp_path: Path) -> None:
    index = VectorIndex(embed, tmp_path)
    for texts, new in (
        (TEXTS[:3], 5),
        (TEXTS, 8),  # two more records behind
        (TEXTS[1:], 0),
        ([*TEXTS[1:], "z z"], 3),
        (["g h, and otherwise", *TEXTS[2:], "z z"], 6),  # the same id
        (TEXTS[2:3], 0),
    ):
        history = history_of(texts)
        segments = segment(history, "record")
        found, fed = index.vectors(history, segments)
        np.testing.assert_allclose(found.vectors, wanted(encoder, segments), atol=1e-6)
        assert (fed > 0) == (new > 0)
        assert sorted(rows_on_disk(tmp_path)) == sorted((one.start, one.end) for one in segments)
        fresh, fed = VectorIndex(embed, tmp_path).vectors(history, segments)
        assert fed == 0
        np.testing.assert_array_equal(fresh.vectors, found.vectors)
    assert index.vectors(history_of([]), ())[0].scores(np.ones(16, np.float32)).shape == (0,)
    assert rows_on_disk(tmp_path) == []


@pytest.mark.parametrize("units", [("sentence", "record"), ("record", "sentence")])
def test_other_segments_of_a_record_are_added(
    units: tuple[Unit, Unit], encoder: Path, embed: Embeddings, tmp_path: Path
) -> None:
    history = history_of(TEXTS)
    for _ in range(2):
        for unit in units:
            segments = segment(history, unit)
            found, fed = VectorIndex(embed, tmp_path).vectors(history, segments)
            np.testing.assert_allclose(found.vectors, wanted(encoder, segments), atol=1e-6)
    assert fed == 0  # both ways of cutting are known the second time
    VectorIndex(embed, tmp_path).vectors(history_of(TEXTS[:1]), segment(history_of(TEXTS[:1]), "record"))
    assert sorted(rows_on_disk(tmp_path)) == [(0, 6), (0, 13), (7, 13)]  # all rows of a record go with it


def test_another_encoder_has_other_vectors(encoder: Path, embed: Embeddings, tmp_path: Path) -> None:
    other = Embeddings(tiny_encoder(tmp_path / "other encoder", seed=1))
    assert Embeddings(encoder).fingerprint() == embed.fingerprint() != other.fingerprint()
    history = history_of(TEXTS)
    segments = segment(history)
    first, _ = VectorIndex(embed, tmp_path / "kept").vectors(history, segments)
    second, fed = VectorIndex(other, tmp_path / "kept").vectors(history, segments)
    assert fed > 0 and not np.allclose(first.vectors, second.vectors)
    assert VectorIndex(embed, tmp_path / "kept").vectors(history, segments)[1] == 0


def test_damaged_files_are_made_anew(embed: Embeddings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    history = history_of(TEXTS)
    segments = segment(history)
    first, _ = VectorIndex(embed, tmp_path).vectors(history, segments)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-5])
    with caplog.at_level(logging.WARNING):
        again, fed = VectorIndex(embed, tmp_path).vectors(history, segments)
    assert fed > 0 and "the index of sentence vectors" in caplog.text
    np.testing.assert_allclose(again.vectors, first.vectors, atol=1e-6)
    assert VectorIndex(embed, tmp_path).vectors(history, segments)[1] == 0


def test_many_records_in_parts(
    encoder: Path, embed: Embeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_list, "RECORDS_A_CHUNK", 2)
    monkeypatch.setattr(chunk_list, "MAX_CHUNKS", 2)
    history = history_of(TEXTS)
    segments = segment(history, "sentence")
    found, _ = VectorIndex(embed, tmp_path).vectors(history, segments)
    np.testing.assert_allclose(found.vectors, wanted(encoder, segments), atol=1e-6)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    assert VectorIndex(embed, tmp_path).vectors(history, segments)[1] == 0


def test_a_pool_keeps_to_its_limit_and_users_apart(embed: Embeddings, tmp_path: Path) -> None:
    pool = VectorPool(embed, lambda user: tmp_path / user, limit=1)
    histories = [history_of(TEXTS, "ann"), history_of(TEXTS[:2], "bob")]
    for history in [*histories, *histories]:
        segments = segment(history)
        assert len(pool.vectors(history, segments)[0].vectors) == len(segments)
    assert pool.nbytes <= 16 * 4 * 2 * 2 + 100  # bob's alone
    assert {path.name for path in tmp_path.iterdir()} == {"ann", "bob"}
    pool.close("bob")
    assert pool.nbytes == 0
