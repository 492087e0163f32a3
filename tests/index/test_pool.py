import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from penchant.history.records import History
from penchant.index.attention import AttentionIndex, Change
from penchant.index.pool import IndexPool
from tests.index.cases import encoder_of, history_of, model_calls, scores, texts


def expected(history: History) -> np.ndarray:
    index = AttentionIndex(encoder_of())
    index.sync(history)
    return scores(index, history)


def test_users_do_not_mix() -> None:
    pool = IndexPool(encoder_of())
    ann, bob = history_of(texts(6), "ann"), history_of(texts(6, seed=1), "bob")  # the same record ids
    for _ in range(2):
        for history in (ann, bob):
            index, _ = pool.open(history)
            np.testing.assert_allclose(scores(index, history), expected(history), atol=2e-3)
    assert pool.open(ann)[0] is not pool.open(bob)[0]
    assert pool.open(history_of(texts(6), "ann"))[1] == Change(0, 0, 0)
    assert pool.nbytes == pool.open(ann)[0].nbytes + pool.open(bob)[0].nbytes


def test_a_user_named_like_the_key_of_an_unnamed_history() -> None:
    pool = IndexPool(encoder_of())
    unnamed = history_of(texts(3), "")
    for user in (f"history:{id(unnamed)}", str(id(unnamed))):
        assert pool.open(unnamed)[0] is not pool.open(history_of(texts(3, seed=1), user))[0]


def test_the_least_recently_used_goes_first() -> None:
    histories = {user: history_of(texts(6), user) for user in "abc"}
    pool = IndexPool(encoder_of())
    pool.open(histories["a"])
    one = pool.nbytes
    pool = IndexPool(encoder_of(), limit=2 * one)
    a, _ = pool.open(histories["a"])
    b, _ = pool.open(histories["b"])
    assert pool.open(histories["a"])[0] is a
    pool.open(histories["c"])  # b was used least recently
    assert pool.nbytes == 2 * one
    assert pool.open(histories["a"]) == (a, Change(0, 0, 0))
    again, change = pool.open(histories["b"])
    assert again is not b
    assert change.records_added == 6
    assert pool.nbytes == 2 * one


def test_one_that_is_larger_than_the_limit_is_still_served() -> None:
    pool = IndexPool(encoder_of(), limit=1)
    history = history_of(texts(6))
    index, _ = pool.open(history)
    assert pool.open(history) == (index, Change(0, 0, 0))
    pool.open(history_of(texts(2), "bob"))
    assert pool.nbytes < index.nbytes


def test_a_closed_index_is_read_again_from_its_directory(tmp_path: Path) -> None:
    pool = IndexPool(encoder_of(), lambda user: tmp_path / user)
    ann, bob = history_of(texts(6), "ann"), history_of(texts(6, seed=1), "bob")
    index, _ = pool.open(ann)
    before = scores(index, ann)
    pool.open(bob)
    pool.close("ann")
    pool.close("nobody")
    with model_calls(pool.encoder.lens) as calls:
        again, change = pool.open(ann)
    assert again is not index
    assert (change, calls) == (Change(0, 0, 0), [])
    assert np.array_equal(scores(again, ann), before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ann", "bob"]


def test_a_history_without_user_is_never_written(tmp_path: Path) -> None:
    asked: list[str] = []

    def directory(user: str) -> Path:
        asked.append(user)
        return tmp_path / user

    pool = IndexPool(encoder_of(), directory)
    one, other = history_of(texts(4), ""), history_of(texts(4), "")
    index, _ = pool.open(one)
    assert pool.open(one) == (index, Change(0, 0, 0))
    again, change = pool.open(other)
    assert again is not index
    assert change.records_added == 4
    assert (asked, list(tmp_path.iterdir())) == ([], [])


def test_progress_and_an_interruption_reach_the_caller() -> None:
    said: list[tuple[int, int | None]] = []

    def progress(step: str, done: int, total: int | None) -> None:
        said.append((done, total))
        if len(said) == 2:
            raise KeyboardInterrupt

    pool = IndexPool(encoder_of(), progress=progress)
    history = history_of(texts(5))
    with pytest.raises(KeyboardInterrupt):
        pool.open(history)
    index, change = pool.open(history)
    assert change.records_added == 5
    assert said == [(1, 5), (2, 5), *((i, 5) for i in range(1, 6))]
    np.testing.assert_allclose(scores(index, history), expected(history), atol=2e-3)


def test_one_users_new_history_delays_nobody_else() -> None:
    waiting, go = threading.Event(), threading.Event()

    def progress(step: str, done: int, total: int | None) -> None:
        if total == 7:  # ann's first encoding takes long
            waiting.set()
            assert go.wait(30)

    pool = IndexPool(encoder_of(), progress=progress)
    ann, bob = history_of(texts(7), "ann"), history_of(texts(5, seed=1), "bob")
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(pool.open, ann)
        assert waiting.wait(30)
        quick = threads.submit(pool.open, bob)
        try:
            index, _ = quick.result(timeout=30)
            np.testing.assert_allclose(scores(index, bob), expected(bob), atol=2e-3)
            assert not slow.done()
        finally:
            go.set()
        index, _ = slow.result()
    np.testing.assert_allclose(scores(index, ann), expected(ann), atol=2e-3)


def test_many_threads_and_users_under_a_limit_that_evicts(tmp_path: Path) -> None:
    histories = [history_of(texts(5, seed=i), f"u{i}") for i in range(4)]
    right = [expected(history) for history in histories]
    pool = IndexPool(encoder_of(), lambda user: tmp_path / user, limit=1)

    def work(i: int) -> None:
        for _ in range(5):
            index, _ = pool.open(histories[i])
            np.testing.assert_allclose(scores(index, histories[i]), right[i], atol=2e-3)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(work, i % 4) for i in range(8)]:
            done.result()
