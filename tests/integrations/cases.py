"""A personalizer with a tiny model, and a user's records."""

from collections.abc import Iterator
from pathlib import Path

from penchant import Personalizer, Record
from tests.index.cases import calibration_of, lens_of

RECORDS = [
    Record("The tuner, Ms Lind, comes every spring.", id="r1", when="2024-03-01", kind="note", meta={"room": "back"}),
    Record("We walked to the lighthouse, and the wind took my hat.", id="r2", label=4),
    Record("My bicycle is green and it stands in the cellar.", id="r3"),
]
QUERY = "Who is the tuner?"


def personalizer(tmp_path: Path) -> Iterator[Personalizer]:
    lens = lens_of()
    place = tmp_path / "store"
    with Personalizer(lens.loaded, store=place, marker="bm25", calibration=calibration_of(lens)) as made:
        assert made.store is not None
        made.store.add("kim", RECORDS)
        yield made
