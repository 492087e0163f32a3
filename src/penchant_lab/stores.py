"""What another database and encryption cost a store: `python -m penchant_lab.stores --postgres URL`.

Each operation is run on every kind of store in turn, several rounds; the ratios to plain SQLite are of the same round,
so that a busy machine slows all of them.
"""

from __future__ import annotations

import argparse
import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from penchant.cli.output import run_and_exit
from penchant.history.dialogue import Turn
from penchant.history.records import Record
from penchant.store import Store
from penchant.store.postgresql import create_engine, parse_url
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder

USER = "ann"
PLAIN = "SQLite"
WORDS = 60
OPERATIONS = {
    "import": "import of the records, in one batch",
    "read": "read the whole history",
    "warm": "what a warm request asks: the revision of the records",
    "add": "add one record",
    "turn": "add one turn of a conversation",
}
Operation = Callable[[Store, int], object]


def _records(count: int) -> list[Record]:
    return [Record(" ".join(f"word{(n * 31 + i) % 997}" for i in range(WORDS)), id=f"r{n}") for n in range(count)]


def _operations(records: list[Record]) -> dict[str, tuple[int, Operation]]:
    """How often each is run within a round, and what it is."""
    now = datetime.now(UTC)
    return {
        "import": (1, lambda store, round_: store.add(f"{USER}{round_}", records)),
        "read": (1, lambda store, round_: len(store.history(f"{USER}{round_}"))),
        "warm": (50, lambda store, round_: store.revision(f"{USER}{round_}")),
        "add": (10, lambda store, round_: store.add(f"{USER}{round_}", [Record(secrets.token_hex(100))])),
        "turn": (10, lambda store, round_: _say(store, f"{USER}{round_}", now)),
    }


def _say(store: Store, user: str, now: datetime) -> None:
    number = store.conversations.open(user, "c", when=now).next
    store.conversations.add(user, "c", Turn(number, "user", secrets.token_hex(100), now))


def measure(stores: dict[str, Store], count: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return seconds by kind of store and operation, one for each round."""
    seconds: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in OPERATIONS} for kind in stores}
    for round_ in range(rounds):
        for name, (times, run) in _operations(_records(count)).items():
            for kind, store in stores.items():
                started = time.perf_counter()
                for _ in range(times):
                    run(store, round_)
                seconds[kind][name].append((time.perf_counter() - started) / times)
    return seconds


def table(result: dict[str, Any]) -> str:
    """The page of a result."""
    seconds = result["seconds"]
    kinds = [kind for kind in seconds if kind != PLAIN]
    rows = []
    for name, about in OPERATIONS.items():
        base = seconds[PLAIN][name]
        cells = [
            f"{median(other / one for other, one in zip(seconds[kind][name], base, strict=True)):.2f}" for kind in kinds
        ]
        rows.append(f"| {about} | {median(base) * 1_000:.2f} ms | {' | '.join(cells)} |")
    return "\n".join(
        [
            "# Stores: what PostgreSQL and encryption cost",
            "",
            f"{result['records']:,} records of {WORDS} words; {result['rounds']} rounds. The first column is the "
            "median time on plain SQLite, the others are ratios to it (medians of the rounds' ratios).",
            "",
            f"| | {PLAIN} | {' | '.join(kinds)} |",
            "|---|--:|" + "--:|" * len(kinds),
            *rows,
            "",
            f"`{result['command']}`",
            "",
        ]
    )


@contextmanager
def _schema(url: str, name: str) -> Iterator[str]:
    """A schema of its own in the database, dropped at the end."""
    engine = create_engine(parse_url(url), lambda: 60.0)
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(name))
    try:
        yield parse_url(url).update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)
    finally:
        with engine.begin() as connection:
            connection.execute(sa.schema.DropSchema(name, cascade=True))
        engine.dispose()


def run(url: str | None, count: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Measure every kind of store; PostgreSQL only if there is a URL."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keys = {"master_key": secrets.token_hex(32), "key_store": str(folder / "keys")}
        places: dict[str, tuple[str, Path]] = {
            PLAIN: (str(folder / "a"), folder / "a"),
            "SQLite, encrypted": (str(folder / "b"), folder / "b"),
        }
        if url is not None:
            for kind in ("PostgreSQL", "PostgreSQL, encrypted"):
                name = f"penchant_{secrets.token_hex(4)}"
                places[kind] = (stack.enter_context(_schema(url, name)), folder / name)
        stores = {
            kind: stack.enter_context(Store(place, directory, **keys)) for kind, (place, directory) in places.items()
        }
        for kind, store in stores.items():
            if "encrypted" in kind:
                store.encrypt()
        return measure(stores, count, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.stores", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--postgres", metavar="URL", help="a database in which schemas may be made")
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    make_folder(options.out)
    command = f"python -m penchant_lab.stores --records {options.records} --rounds {options.rounds}"
    command += " --postgres URL" if options.postgres else ""
    seconds = run(options.postgres, options.records, options.rounds)
    result = {"command": command, **provenance(), "records": options.records, "rounds": options.rounds}
    result["seconds"] = seconds
    (options.out / "stores.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "stores.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
