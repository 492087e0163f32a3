"""Where the records of all users live. SQLite in a folder by default; any SQLAlchemy URL otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from penchant.errors import InputError
from penchant.folders import data_folder
from penchant.history.jsonl import to_line
from penchant.history.records import History, Record
from penchant.store import engine as database
from penchant.store.conversations import Conversations
from penchant.store.erasure import users as erasure
from penchant.store.erasure.users import ErasureReceipt
from penchant.store.erasure.verification import pages
from penchant.store.keys import checked, find_user, made_users, records_changed, user_key, user_revision
from penchant.store.location import DATABASE, INDEXES, conversation_folder, user_folder
from penchant.store.schema import records, to_record, to_row, token_counts, users

BATCH = 2_000
"""Records a transaction."""


@dataclass(frozen=True)
class Counts:
    """What became of the records that were handed over."""

    added: int = 0
    unchanged: int = 0
    replaced: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.added + other.added, self.unchanged + other.unchanged, self.replaced + other.replaced)


@dataclass(frozen=True)
class UserEntry:
    """A line of the list of users."""

    user: str
    records: int


class Store:
    """Records of many users, on disk, with everything else that is kept for a user in folders beside them.

    `path_or_url`: a folder (made when missing) that will hold `penchant.db` (SQLite) and one folder per area and user
    (`indexes/<sha256 of user id>/`); or the SQLAlchemy URL of another database, with `directory` for the folders
    (the platform's data folder by default).
    Safe for several threads and processes at once; writers wait for each other. A context manager.
    Raises `InputError` for a path that can't be a store, `StoreError` for one that can't be opened or that a newer
    Penchant wrote.
    """

    def __init__(self, path_or_url: str | Path, directory: str | Path | None = None) -> None:
        named = str(path_or_url)
        if named.startswith("sqlite"):
            raise InputError(f"the store {named!r} is an SQLite URL: expected the folder of the store; name the folder")
        self.directory = Path(directory or data_folder()) if "://" in named else Path(named)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror or str(error)
            raise InputError(
                f"the store {self.directory} can't be opened ({why}): expected a folder to write to"
            ) from error
        url = named if "://" in named else sa.URL.create("sqlite", database=str(self.directory / DATABASE))
        self._engine = database.open_engine(url)
        self.conversations = Conversations(self._engine, self.directory)
        """The users' conversations, and the instructions that stand in them."""
        try:
            database.migrate(self._engine)
            erasure.finish_erasures(self._engine, self.directory)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def index_dir(self, user: str) -> Path:
        """Where the caches of a user's attention index go (not created here). `forget` removes it."""
        return self.user_dir(INDEXES, user)

    def conversation_dir(self, user: str, conversation: str) -> Path:
        """Where the caches of a conversation's attention index go (not created here). Erasing the conversation, or a
        turn of it, or the user removes it. Raises `InputError` for an id that can't be one."""
        return conversation_folder(self.directory, checked(user), checked(conversation, "conversation"))

    def user_dir(self, area: str, user: str) -> Path:
        """`<store>/<area>/<sha256 of user>`: files kept for a user under any area are erased with the user. What is
        derived from other users' records as well is written as lineage.py says."""
        return self.directory / area / user_folder(user)

    # Writing

    def add(self, user: str, new: Iterable[Record], *, replace: bool = False, batch: int = BATCH) -> Counts:
        """Adds a user's records. See `add_many`."""
        return self.add_many(((user, record) for record in new), replace=replace, batch=batch)

    def add_many(
        self,
        new: Iterable[tuple[str, Record]],
        *,
        replace: bool = False,
        batch: int = BATCH,
        acknowledge: Callable[[Counts], None] | None = None,
    ) -> Counts:
        """Adds records of any number of users, as they come, `batch` to a transaction.

        A record whose id and content are there already is unchanged; one whose id is there with other content raises
        `InputError`, unless `replace` says to overwrite. An error undoes its own batch only. After each commit
        `acknowledge` gets the counts so far: what it was told survives a crash.
        """
        if batch < 1:
            raise InputError(f"a batch of {batch} records: expected at least 1; raise the batch")
        total = Counts()
        source = iter(new)
        while pairs := list(itertools.islice(source, batch)):
            rows = [(checked(user), to_row(record)) for user, record in pairs]
            try:
                with database.writing(self._engine) as connection:
                    counts = _write(connection, rows, replace)
            except InputError as error:
                raise InputError(f"{error} ({total.added} records were added before)") from None
            total += counts
            if acknowledge:
                acknowledge(total)
        return total

    # Reading

    def history(self, user: str) -> History:
        """A user's whole history. Raises `UnknownUserError`."""
        return History(self._records(user), user)

    def export(self, user: str) -> Iterator[str]:
        """A user's records as lines of a history file, in the order they came in: importing them gives the same
        history. Raises `UnknownUserError` at the call, not at the first line."""
        return (to_line(record) for record in self._records(user))

    def users(self, limit: int = 100, after: str | None = None) -> Iterator[UserEntry]:
        """One page of users by id (by code point), beginning behind `after`, with their numbers of records."""
        if limit < 1:
            raise InputError(f"a page of {limit} users: expected at least 1; raise the limit")
        page = sa.select(users).order_by(users.c.id).limit(limit)
        if after is not None:
            page = page.where(users.c.id > after)
        chosen = page.subquery()
        counted = (
            sa.select(chosen.c.id, sa.func.count(records.c.key))
            .select_from(chosen.outerjoin(records, records.c.user == chosen.c.key))
            .group_by(chosen.c.key, chosen.c.id)
            .order_by(chosen.c.id)
        )
        with database.reading(self._engine) as connection:
            rows = connection.execute(counted).all()
        return (UserEntry(user, count) for user, count in rows)

    def all_users(self, page: int = 1_000) -> Iterator[UserEntry]:
        """Every user, a page at a time."""
        after: str | None = None
        while entries := list(self.users(page, after)):
            yield from entries
            after = entries[-1].user

    def count(self, user: str | None = None) -> int:
        """How many records a user has, or without a user, how many users there are. Raises `UnknownUserError`."""
        query = sa.select(sa.func.count()).select_from(users if user is None else records)
        if user is not None:
            query = query.where(records.c.user == self._key(user))
        with database.reading(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def holds(self, user: str, record: str) -> bool:
        """Whether a user has a record of that id; False for a user who isn't there."""
        query = sa.select(records.c.key).join(users, users.c.key == records.c.user)
        with database.reading(self._engine) as connection:
            found = connection.execute(query.where(users.c.id == user, records.c.id == record).limit(1))
            return found.first() is not None

    def revision(self, user: str) -> int:
        """A number that is another one after each change of the user's records, whoever made it. Raises
        `UnknownUserError`."""
        with database.reading(self._engine) as connection:
            return user_revision(connection, user)

    def token_count(self, user: str, revision: int, tokenizer: str) -> int | None:
        """The size of a user's records in tokens that `keep_token_count` was given at this revision; None: unknown."""
        where = (users.c.id == user) & (token_counts.c.tokenizer == tokenizer) & (token_counts.c.revision == revision)
        query = sa.select(token_counts.c.tokens).join(users, users.c.key == token_counts.c.user).where(where)
        with database.reading(self._engine) as connection:
            return connection.execute(query).scalar()

    def keep_token_count(self, user: str, revision: int, tokenizer: str, tokens: int) -> None:
        """Keeps what a user's records at a revision are in tokens of a tokenizer (any name that tells it from others),
        until they change."""
        with database.writing(self._engine) as connection:
            if (key := find_user(connection, user)) is None:
                return
            mine = (token_counts.c.user == key) & (token_counts.c.tokenizer == tokenizer)
            connection.execute(sa.delete(token_counts).where(mine))
            row = {"user": key, "tokenizer": tokenizer, "revision": revision, "tokens": tokens}
            connection.execute(sa.insert(token_counts).values(row))

    # Erasing

    def forget(self, user: str) -> ErasureReceipt:
        """Erases a user: records, conversations with their turns, instructions, every folder kept for the user, every
        row derived from the user's records in the folders of others and every aggregate that counted them in
        (lineage.py), what the database keeps of deleted rows (secure delete, vacuum, empty log). Then every file
        under the store's folder is searched for each run of 8 consecutive words of their texts (a shorter text as a
        whole, from 8 bytes on; residue.py says exactly what), sparing what another user's live row holds too.

        Raises `UnknownUserError`, and `StoreError` if anything is left or another process keeps the log in use. An
        erasure that is cut off is finished when the store is next opened. Ids are erased but not searched
        for. With another database than SQLite, only the folder's files are searched.
        """
        return erasure.forget(self._engine, self.directory, user, self._key(user))

    def forget_record(self, user: str, *names: str, keep_index: bool = False) -> None:
        """Erases records, by id, all of them or none; with the last one goes a user who has no conversations. What is
        left is what would be there without them, in what was derived from them for any user too (lineage.py), and
        the database keeps nothing of the deleted rows. That rewrites it: name several at once.

        The user's attention index holds things computed from the records and is removed too, unless `keep_index` says
        that the caller drops its rows. Raises `UnknownUserError`, and `InputError` for an unknown record.
        """
        key = self._key(user)
        index = None if keep_index else self.index_dir(user)
        erasure.forget_records(self._engine, self.directory, user=user, key=key, names=names, index=index)

    def _key(self, user: str) -> int:
        with database.reading(self._engine) as connection:
            return user_key(connection, user)

    def _records(self, user: str) -> Iterator[Record]:
        return map(to_record, pages(self._engine, records, records.c.user == self._key(user)))


def _write(connection: sa.Connection, rows: list[tuple[str, dict[str, Any]]], overwrite: bool) -> Counts:
    keys = made_users(connection, {user for user, _ in rows})
    there = _hashes(connection, keys, rows)
    fresh: dict[tuple[int, str], dict[str, Any]] = {}
    changed: dict[tuple[int, str], dict[str, Any]] = {}
    counts = Counts()
    for user, row in rows:
        key = (keys[user], row["id"])
        known = there.get(key)
        if known == row["hash"]:
            counts = replace(counts, unchanged=counts.unchanged + 1)
            continue
        if known is not None and not overwrite:
            raise InputError(
                f"record {row['id']!r} of user {user!r} is there already with other content: expected a new id or the "
                "same content; give it another id, or replace it on purpose"
            )
        there[key] = row["hash"]
        if known is None:
            counts = replace(counts, added=counts.added + 1)
            fresh[key] = {"user": keys[user], **row}
        else:
            counts = replace(counts, replaced=counts.replaced + 1)
            target = fresh if key in fresh else changed
            target[key] = {"user": keys[user], **row}
    if fresh:
        connection.execute(sa.insert(records), list(fresh.values()))
    for (user_row, name), row in changed.items():
        where = (records.c.user == user_row) & (records.c.id == name)
        connection.execute(sa.update(records).where(where).values(row))
    records_changed(connection, (user_row for user_row, _ in (*fresh, *changed)))
    return counts


def _hashes(
    connection: sa.Connection, keys: Mapping[str, int], rows: list[tuple[str, dict[str, Any]]]
) -> dict[tuple[int, str], str]:
    """Content hashes of the records that are there already, by (user key, record id)."""
    there: dict[tuple[int, str], str] = {}
    by_user: dict[int, list[str]] = {}
    for user, row in rows:
        by_user.setdefault(keys[user], []).append(row["id"])
    for key, names in by_user.items():
        query = sa.select(records.c.id, records.c.hash).where(records.c.user == key, records.c.id.in_(names))
        there |= {(key, row.id): row.hash for row in connection.execute(query)}
    return there
