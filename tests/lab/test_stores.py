"""`python -m penchant_lab.stores`: every operation is run on every kind of store, and the ratios are of one round."""

import pytest

from penchant_lab.stores import OPERATIONS, PLAIN, run, table


@pytest.mark.postgres
def test_every_kind_is_measured(postgres):
    url = postgres.create()
    postgres.admin(f"GRANT CREATE ON DATABASE {url.rpartition('/')[2]} TO penchant")
    try:
        seconds = run(url, count=3, rounds=2)
        assert postgres.admin(
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'penchant_%'", url.rpartition("/")[2]
        ) == [(0,)]
    finally:
        postgres.drop(url)
    assert list(seconds) == [PLAIN, "SQLite, encrypted", "PostgreSQL", "PostgreSQL, encrypted"]
    for kind in seconds.values():
        assert {name: len(times) for name, times in kind.items()} == dict.fromkeys(OPERATIONS, 2)


def test_the_page_has_the_median_of_the_rounds_ratios():
    one, two = {name: [0.001, 0.01] for name in OPERATIONS}, {name: [0.003, 0.01] for name in OPERATIONS}
    page = table({"seconds": {PLAIN: one, "other": two}, "records": 5, "rounds": 2, "command": "x"})
    assert page.count("| 5.50 ms | 2.00 |") == len(OPERATIONS)
