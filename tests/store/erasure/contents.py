"""Where a store's data is, looked at without the code under test."""

from collections.abc import Iterator

import psycopg

from penchant.store import Store


def contents(store: Store) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of a store's files; of a database elsewhere all that its owner can read: the rows of
    every table and its statistics."""
    for file in sorted(store.directory.rglob("*")):
        if file.is_file():
            yield file.name, file.read_bytes()
    if store._engine.dialect.name == "postgresql":
        url = store._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            ).fetchall()
            for (table,) in tables:
                rows = connection.execute(f"SELECT t::text FROM {table} t").fetchall()
                yield table, "\n".join(row for (row,) in rows).encode()
            statistics = connection.execute(
                "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats "
                "WHERE schemaname = current_schema()"
            )
            yield "statistics", repr(statistics.fetchall()).encode()


def holding(store: Store, text: str) -> list[str]:
    """Return the names of files and tables that hold any run of 8 words of a text."""
    parts = text.split()
    wanted = [" ".join(parts[i : i + 8]).encode() for i in range(max(1, len(parts) - 7))]
    return sorted({name for name, data in contents(store) if any(gram in data for gram in wanted)})
