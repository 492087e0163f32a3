"""The key store: users' keys, each encrypted with the master key, in a database apart from the users' data.

Apart, because a backup of the data must not hold the keys: destroying a user's key then makes that user's rows in every
backup and log of the data unreadable.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from cachetools import LRUCache

from penchant.errors import InputError, StoreError
from penchant.folders import data_folder
from penchant.store import engine as database
from penchant.store.encryption.ciphers import UserCipher, Wrapping, new_key
from penchant.store.location import place_of

KEY_STORE = "PENCHANT_KEY_STORE"
_FILE = "keys.db"
_CACHED = 10_000  # users
_OPTION = "penchant_vault"
_metadata = sa.MetaData()
_data_keys = sa.Table(
    "penchant_data_keys",
    _metadata,
    sa.Column("id", sa.String(32), primary_key=True),  # random: says nothing about the user
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)


def default_key_store() -> str:
    """$PENCHANT_KEY_STORE (a folder, or the URL of a PostgreSQL database), else a folder beside that of the data."""
    return os.environ.get(KEY_STORE) or str(data_folder().with_name("penchant-keys"))


class Vault:
    """Makes, keeps and destroys users' keys. Thread-safe. Raises `StoreError` if the key store can't be used."""

    def __init__(self, master_key: bytes, place: str) -> None:
        self._wrapping = Wrapping(master_key)
        self._ciphers: LRUCache[str, UserCipher] = LRUCache(_CACHED)
        self._lock = threading.Lock()
        if "://" in place:
            self.engine = database.open_engine(place)
        else:
            folder = Path(place)
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise InputError(
                    f"the key store {place} can't be opened ({error.strerror}): expected a folder to write to"
                ) from error
            self.engine = database.open_engine(sa.URL.create("sqlite", database=str(folder / _FILE)))
        try:
            with database.writing(self.engine) as connection:
                database.lock_schema(connection)
                _metadata.create_all(connection)
        except BaseException:
            self.engine.dispose()
            raise

    @property
    def place(self) -> str:
        """Where the key store is, for people."""
        return place_of(self.engine)

    def make(self, count: int = 1) -> list[str]:
        """Make keys and return their names. They are on disk when this returns."""
        names = [uuid.uuid4().hex for _ in range(count)]
        rows = [{"id": name, "wrapped": self._wrapping.wrapped(name, new_key())} for name in names]
        if rows:
            with database.writing(self.engine) as connection:
                connection.execute(sa.insert(_data_keys), rows)
        return names

    def cipher(self, name: str) -> UserCipher:
        """Return a user's cipher. Raises `StoreError` for a key that isn't there, or another master key's."""
        with self._lock:
            if (known := self._ciphers.get(name)) is not None:
                return known
        with database.reading(self.engine) as connection:
            wrapped = connection.execute(sa.select(_data_keys.c.wrapped).where(_data_keys.c.id == name)).scalar()
        if wrapped is None:
            raise StoreError(
                f"the key of a user isn't in the key store {self.place}: expected the one that the store was encrypted "
                f"with; name it by ${KEY_STORE}. If it was destroyed, the user's data can't be read any more"
            )
        try:
            found = UserCipher(self._wrapping.unwrapped(name, wrapped))
        except ValueError:
            raise StoreError(
                f"the keys in the key store {self.place} were made with another master key: expected that one"
            ) from None
        with self._lock:
            self._ciphers[name] = found
        return found

    def destroy(self, names: Iterable[str]) -> None:
        """Destroy keys, and what is left of them in the key store's file. Nothing that they encrypted can be read any
        more, wherever a copy of it is.
        """
        from penchant.store.erasure import cleaning

        gone = list(names)
        with self._lock:
            for name in gone:
                self._ciphers.pop(name, None)
        with database.writing(self.engine) as connection:
            connection.execute(sa.delete(_data_keys).where(_data_keys.c.id.in_(gone)))
        cleaning.rewrite(self.engine, _metadata)

    def close(self) -> None:
        self.engine.dispose()


def with_vault(engine: sa.Engine, vault: Vault) -> sa.Engine:
    """Return the engine for an encrypted store: its connections know the vault."""
    return engine.execution_options(**{_OPTION: vault})


def vault_of(engine: sa.Engine | sa.Connection) -> Vault | None:
    """Return the vault of an encrypted store; None: the store isn't encrypted."""
    found = engine.get_execution_options().get(_OPTION)
    return found if isinstance(found, Vault) else None
