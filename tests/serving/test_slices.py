"""Sliced work: what is urgent first, answers in between, one work for each key."""

from collections.abc import Iterator

import pytest

from penchant.serving.slices import SHARE, Slices


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def steps(clock: Clock, done: list[str], name: str, count: int = 3) -> Iterator[None]:
    for _ in range(count):
        clock.now += 1
        done.append(name)
        yield


def run(slices: Slices, **state: bool) -> bool:
    key = slices.next(**{"answering": False, "asked": False, **state})
    if key is not None:
        slices.step(key)
    return key is not None


def test_urgent_work_goes_first_and_the_same_key_is_one_work() -> None:
    clock, done = Clock(), list[str]()
    slices = Slices(clock)
    first = slices.add(("a", ""), lambda: steps(clock, done, "a"), urgent=False)
    second = slices.add(("b", ""), lambda: steps(clock, done, "b"), urgent=False)
    assert run(slices)
    assert slices.add(("b", ""), lambda: steps(clock, done, "again"), urgent=True) is second
    while run(slices):
        pass
    assert done == ["a", "b", "b", "b", "a", "a"]
    assert first.result(0) is None
    assert second.result(0) is None


def test_answers_get_their_share_and_requests_go_before() -> None:
    clock, done = Clock(), list[str]()
    slices = Slices(clock)
    slices.add(("a", ""), lambda: steps(clock, done, "a"), urgent=False)
    assert not run(slices, asked=True)
    assert run(slices, answering=True)
    assert not run(slices, answering=True)
    clock.now += 1 / SHARE - 1
    assert run(slices, answering=True)
    slices.add(("a", ""), lambda: steps(clock, done, "a"), urgent=True)
    clock.now += 1 / SHARE
    assert run(slices, answering=True, asked=True)


def test_a_failure_and_an_end_reach_who_waits() -> None:
    def fail() -> Iterator[None]:
        yield
        raise ValueError("broken")

    slices = Slices()
    failing, ended = slices.add(("a", ""), fail, urgent=True), slices.add(("b", ""), fail, urgent=False)
    slices.end("b")
    while run(slices):
        pass
    with pytest.raises(ValueError, match="broken"):
        failing.result(0)
    assert ended.cancelled()
    assert not slices
