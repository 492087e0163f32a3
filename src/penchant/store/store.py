"""The store: the records of all users, in SQLite in a folder by default, or in a PostgreSQL database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from penchant import arguments
from penchant.errors import InputError
from penchant.history.jsonl import to_line
from penchant.history.records import History, Record, RecordLike, as_records
from penchant.store import engine as database
from penchant.store.adding import add_rows, row_of
from penchant.store.api_keys import ApiKeys
from penchant.store.conversations import Conversations
from penchant.store.encryption import conversion
from penchant.store.encryption.rows import rows_of
from penchant.store.encryption.vault import vault_of
from penchant.store.entries import Counts, UserEntry
from penchant.store.erasure import cleaning
from penchant.store.erasure import users as erasure
from penchant.store.erasure.cascade import Erased
from penchant.store.erasure.lineage import source_of
from penchant.store.erasure.users import ErasureReceipt
from penchant.store.erasure.verification import Search, pages, search
from penchant.store.keys import checked, find_user, user_key, user_revision
from penchant.store.location import (
    DATABASE,
    INDEXES,
    conversation_folder,
    files_of,
    place_of,
    store_options,
    user_folder,
)
from penchant.store.postgresql import parse_url
from penchant.store.schema import records, time_order, to_record, token_counts, users

BATCH = 2_000
"""Records per transaction."""


@arguments.checked
class Store:
    """Records of many users on disk, with all other data of each user in folders next to them.

    `path_or_url`: a folder (created if missing) for `penchant.db` (SQLite) and one folder per area and user
    (`indexes/<sha256 of user id>/`); or the URL of a PostgreSQL database (`postgresql://user@host/database`), with
    `directory` for the folders (by default one for each database, in the platform's data folder). Safe for several
    threads and processes; writers wait for each other. A context manager.

    master_key, key_store: of an encrypted store (`encrypt`): 32 bytes in base64, and a folder or PostgreSQL URL for the
    users' keys; by default what the environment names (encryption/ciphers.py, encryption/vault.py).

    Raises `InputError` for a path that can't be a store, and `StoreError` for one that can't be opened or was written
    by a newer Penchant.
    """

    def __init__(
        self,
        path_or_url: str | Path,
        directory: str | Path | None = None,
        *,
        master_key: str | None = None,
        key_store: str | None = None,
    ) -> None:
        named = str(path_or_url)
        if named.startswith("sqlite"):
            raise InputError(f"the store {named!r} is an SQLite URL: expected the folder of the store; name the folder")
        if "://" in named:
            url = parse_url(named)
            self.directory = Path(directory or files_of(url))
        else:
            self.directory = Path(named)
            url = sa.URL.create("sqlite", database=str(self.directory / DATABASE))
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror or str(error)
            raise InputError(
                f"the store {self.directory} can't be opened ({why}): expected a folder to write to"
            ) from error
        self._secrets = (master_key, key_store)
        self._engine = database.open_engine(url)
        try:
            database.migrate(self._engine)
            self._engine = conversion.opened(self._engine, self.directory, *self._secrets)
            self._attach()
            erasure.finish_erasures(self._engine, self.directory)
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        self.conversations = Conversations(self._engine, self.directory)
        """The users' conversations and the instructions in them."""
        self.api_keys = ApiKeys(self._engine)
        """The keys of the server's clients."""

    @property
    def options(self) -> dict[str, str]:
        """The option of the command line that names this store, for `hints.command`."""
        return store_options(self._engine)

    @property
    def place(self) -> str:
        """Where the store is, for people: its folder, or the URL of its database without a password."""
        return place_of(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if (vault := vault_of(self._engine)) is not None:
            vault.close()
        self._engine.dispose()

    def index_dir(self, user: str) -> Path:
        """Return the folder for the caches of a user's attention index (not created here). `forget` removes it."""
        return self.user_dir(INDEXES, user)

    def conversation_dir(self, user: str, conversation: str) -> Path:
        """Return the folder for the caches of a conversation's attention index (not created here). Erasing the
        conversation, one of its turns or the user removes it. Raises `InputError` for an invalid id.
        """
        return conversation_folder(self.directory, checked(user), checked(conversation, "conversation"))

    def user_dir(self, area: str, user: str) -> Path:
        """`<store>/<area>/<sha256 of user>`: files stored for a user in any area are erased with the user. Data that is
        also derived from other users' records must be written as erasure/lineage.py describes.
        """
        return self.directory / area / user_folder(user)

    # Writing

    def add(self, user: str, new: Iterable[RecordLike], *, replace: bool = False, batch: int = BATCH) -> Counts:
        """Add a user's records, from whatever holds them (`as_records`). See `add_many`."""
        return self.add_many(((user, record) for record in as_records(new)), replace=replace, batch=batch)

    def add_many(
        self,
        new: Iterable[tuple[str, RecordLike]],
        *,
        replace: bool = False,
        batch: int = BATCH,
        acknowledge: Callable[[Counts], None] | None = None,
    ) -> Counts:
        """Add records of any number of users, in the given order, `batch` per transaction.

        A record whose id and content are already stored is unchanged; one whose id is stored with other content raises
        `InputError`, unless `replace` says to overwrite it. An error undoes its own batch only. After each commit,
        `acknowledge` is called with the counts so far: these records survive a crash.
        """
        if batch < 1:
            raise InputError(f"a batch of {batch} records: expected at least 1; raise the batch")
        total = Counts()
        source = iter(new)
        while pairs := list(itertools.islice(source, batch)):
            rows = [row_of(pair) for pair in pairs]
            try:
                counts = database.written(self._engine, partial(add_rows, rows=rows, overwrite=replace))
            except InputError as error:
                raise InputError(f"{error} ({total.added} records were added before)") from None
            total += counts
            if acknowledge:
                acknowledge(total)
        return total

    # Reading

    def history(self, user: str) -> History:
        """Return a user's whole history. Raises `UnknownUserError`."""
        return History(self._records(user), user)

    def page(self, user: str, limit: int, offset: int = 0) -> list[Record]:
        """Return some of a user's records, in the order of `history`; no others are read. Raises `UnknownUserError`."""
        with database.reading(self._engine) as connection:
            key = user_key(connection, user)
            mine = rows_of(connection, key)
            chosen = time_order(key).limit(limit).offset(offset).subquery()
            query = sa.select(records).join(chosen, chosen.c.key == records.c.key).order_by(chosen.c.place)
            rows = connection.execute(query).mappings().all()
        return [to_record(mine.opened(records, row)) for row in rows]

    def export(self, user: str) -> Iterator[str]:
        """Yield a user's records as lines of a history file, in the order they arrived: importing them gives the same
        history. Raises `UnknownUserError` at the call, not at the first line.
        """
        return (to_line(record) for record in self._records(user))

    def users(self, limit: int = 100, after: str | None = None) -> Iterator[UserEntry]:
        """Return one page of users by id (by code point), starting after `after`, with their numbers of records."""
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
        """Yield every user, reading a page at a time."""
        after: str | None = None
        while entries := list(self.users(page, after)):
            yield from entries
            after = entries[-1].user

    def count(self, user: str | None = None) -> int:
        """Return how many records a user has; without a user, how many users there are. Raises `UnknownUserError`."""
        query = sa.select(sa.func.count()).select_from(users if user is None else records)
        if user is not None:
            query = query.where(records.c.user == self._key(user))
        with database.reading(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def holds(self, user: str, record: str) -> bool:
        """Whether a user has a record with that id; False for an unknown user."""
        with database.reading(self._engine) as connection:
            key = connection.execute(sa.select(users.c.key).where(users.c.id == user)).scalar()
            if key is None:
                return False
            there = (records.c.user == key) & (records.c.id == rows_of(connection, key).record_id(record))
            return connection.execute(sa.select(records.c.key).where(there).limit(1)).first() is not None

    def revision(self, user: str) -> int:
        """Return a number that changes with each change of the user's records, by any process. Raises
        `UnknownUserError`.
        """
        with database.reading(self._engine) as connection:
            return user_revision(connection, user)

    def arrivals(self, after: int | None = None) -> tuple[list[str], int]:
        """Return the users with records that were added after a mark, by any process, and the next mark. None: nobody,
        and the mark of now.
        """
        newest = sa.select(sa.func.coalesce(sa.func.max(records.c.key), 0))
        added = sa.select(users.c.id).join(records, records.c.user == users.c.key).distinct()
        with database.reading(self._engine) as connection:
            mark = connection.execute(newest).scalar_one()
            if after is None or mark <= after:  # smaller: the newest records were erased
                return [], mark
            found = connection.execute(added.where(records.c.key > after, records.c.key <= mark)).scalars().all()
        return [str(user) for user in found], mark

    def token_count(self, user: str, revision: int, tokenizer: str) -> int | None:
        """Return the size of a user's records in tokens, as `keep_token_count` stored it at this revision; None:
        unknown.
        """
        where = (users.c.id == user) & (token_counts.c.tokenizer == tokenizer) & (token_counts.c.revision == revision)
        query = sa.select(token_counts.c.tokens).join(users, users.c.key == token_counts.c.user).where(where)
        with database.reading(self._engine) as connection:
            return connection.execute(query).scalar()

    def keep_token_count(self, user: str, revision: int, tokenizer: str, tokens: int) -> None:
        """Store the size of a user's records in tokens until they change. tokenizer: a name that distinguishes it from
        others.
        """
        with database.writing(self._engine) as connection:
            if (key := find_user(connection, user)) is None:
                return
            mine = (token_counts.c.user == key) & (token_counts.c.tokenizer == tokenizer)
            connection.execute(sa.delete(token_counts).where(mine))
            row = {"user": key, "tokenizer": tokenizer, "revision": revision, "tokens": tokens}
            connection.execute(sa.insert(token_counts).values(row))

    # Erasing

    def forget(self, user: str) -> ErasureReceipt:
        """Erase a user: records, conversations with their turns, instructions, every folder of the user, every row
        derived from the user's records in other users' folders, every aggregate that includes them
        (erasure/lineage.py), and the database's remains of deleted rows (secure delete, vacuum, empty log). Then search
        every file under the store's folder, and every row of a database elsewhere, for each run of 8 consecutive words
        of the texts (shorter texts as a whole, from 8 bytes; erasure/residue.py has the details), except for words that
        another user's live row contains too.

        Raises `UnknownUserError`, and `StoreError` if anything is left or another process keeps the log in use. An
        interrupted erasure is finished when the store is next opened. Ids are erased but not searched for. What a
        PostgreSQL server still holds is named in the receipt (`remains`).
        """
        return erasure.forget(self._engine, self.directory, user, self._key(user))

    def forget_record(self, user: str, *names: str, keep_index: bool = False) -> None:
        """Erase records by id, all of them or none. A user without records and conversations is removed as well. The
        store is then as if the records had never been added, including data derived from them for any user
        (erasure/lineage.py). The database is rewritten each time, so name several records at once.

        The user's attention index is computed from the records and is removed too, unless `keep_index` says that the
        caller drops its rows. Raises `UnknownUserError`, and `InputError` for an unknown record.
        """
        key = self._key(user)
        index = None if keep_index else self.index_dir(user)
        erasure.forget_records(self._engine, self.directory, user=user, key=key, names=names, index=index)

    def search_remains(self, user: str, texts: Iterable[str], names: Iterable[str] = ()) -> Search:
        """Search every file of the store for texts of a user that were erased, as `forget` does. names: ids of erased
        records. Raises `StoreError` if one is left that no live row contains.
        """
        erased = Erased(source_of(user, name) for name in names)
        return search(self._engine, self.directory, texts, erased)

    def encrypt(self) -> None:
        """Encrypt the texts of all users, each with a key of its own, in one transaction, and rewrite the database
        without the plain texts. Nobody else can use the store meanwhile. From then on it can only be opened with the
        master key and the key store. Raises `InputError` without a master key, or if the store is encrypted already.
        """
        marker = self.directory / erasure.PLAIN_TEXTS
        erasure.write_marker(marker, [])  # a crash after the commit: the next opening rewrites the tables
        try:
            self._engine = conversion.encrypt(self._engine, self.directory, *self._secrets)
        except InputError:
            marker.unlink(missing_ok=True)
            raise
        self._attach()
        self.compact()
        marker.unlink(missing_ok=True)

    @property
    def encrypted(self) -> bool:
        """Whether users' texts are encrypted."""
        return vault_of(self._engine) is not None

    def compact(self) -> None:
        """Rewrite the database without what deleted rows left in its files. Nobody else can use the store meanwhile.
        Erasing does this by itself with SQLite; with PostgreSQL it only frees the room for other rows. Raises
        `StoreError`.
        """
        cleaning.rewrite(self._engine)

    def _key(self, user: str) -> int:
        with database.reading(self._engine) as connection:
            return user_key(connection, user)

    def _records(self, user: str) -> Iterator[Record]:
        with database.reading(self._engine) as connection:
            key = user_key(connection, user)
            mine = rows_of(connection, key)
        return (to_record(mine.opened(records, row)) for row in pages(self._engine, records, records.c.user == key))
