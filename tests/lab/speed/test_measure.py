import mmap
import sys
from pathlib import Path

import pytest
import torch

from penchant.models.loading import LoadedModel
from penchant_lab.speed.histories import COPY_APART, all_samples, copies, count_tokens, of_tokens
from penchant_lab.speed.measure import counting, forget_peak, repeated, resident, summary
from penchant_lab.speed.processes import alone
from penchant_lab.speed.profiling import functions, operators, stages
from penchant_lab.speed.throughput import matrix_throughput
from tests.families import save_tiny, tiny


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return tiny("llama")


def test_tokens_that_are_fed(loaded: LoadedModel) -> None:
    with counting(loaded.model) as fed:
        loaded.base(torch.ones(2, 5, dtype=torch.int64))
        loaded.base(torch.ones(1, 3, dtype=torch.int64))
    loaded.base(torch.ones(1, 3, dtype=torch.int64))
    assert (fed.tokens, fed.calls) == (13, 2)


def test_runs() -> None:
    called: list[int] = []
    assert len(repeated(called.append, 3)) == 3
    assert called == [0, 1, 2]
    assert summary([3.0, 1.0, 2.0, 9.0]) == {"seconds": 2.5, "best": 1.0, "worst": 9.0, "runs": 4}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads /proc")
def test_memory() -> None:
    size = 128 * 2**20
    forget_peak()
    before = resident()
    # Pages straight from the system: a tensor may lie in memory that an earlier test left to the allocator.
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        for page in range(0, size, mmap.PAGESIZE):
            block[page] = 1
        during = resident()
    assert during.anonymous - before.anonymous >= 0.9 * size
    assert resident().peak - before.now >= 0.9 * size


def test_histories_of_a_size(loaded: LoadedModel) -> None:
    history = of_tokens(loaded, 500)
    assert 400 < sum(count_tokens(loaded, list(history))) + len(history) <= 500
    whole = [record.id for record in all_samples()]
    assert {record.id for record in history} < set(whole)
    first, second = copies(history, 2)
    assert [b.when - a.when for a, b in zip(first, second, strict=True)] == [COPY_APART] * len(history)
    assert len({record.id for record in [*first, *second]}) == 2 * len(history)


def test_where_time_goes() -> None:
    def call() -> None:
        torch.ones(50, 50) @ torch.ones(50, 50)

    assert "aten::mm" in [entry["name"] for entry in operators(call)]
    assert [entry["name"] for entry in stages(call, ("test_measure.py:call", "nowhere.py:none"))] == [
        "test_measure.py:call"
    ]
    found = functions(call)
    assert sum(entry["share"] for entry in found) == pytest.approx(1)
    assert found == sorted(found, key=lambda entry: -entry["seconds"])


def test_matrix_throughput() -> None:
    found = matrix_throughput([(8, 16), (16, 8)], torch.float32, rows=(4, 8), repeats=2)
    assert found["shapes"] == ["16x8", "8x16"]
    assert list(found["gflops_by_rows"]) == ["4", "8"]
    assert found["gflops"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_published_way_in_a_process_of_its_own(tmp_path: Path) -> None:
    directory = save_tiny("llama", tmp_path / "tiny")
    payload = {"model": str(directory), "dtype": "float32", "ids": [5] * 80, "eager": True, "runs": 2}
    answer = alone("eager", payload, 1)
    assert (answer["tokens_fed"], answer["runs"]) == (80, 2)
    assert 0 < answer["best"] <= answer["worst"]
    assert alone("eager", {**payload, "model": str(tmp_path)}, 1) == {"failed": "exit 1"}
