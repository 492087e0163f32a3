"""Encrypts a store that isn't encrypted yet, and opens one that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from penchant.errors import InputError, StoreError
from penchant.store import engine as database
from penchant.store.encryption.ciphers import find_master_key
from penchant.store.encryption.rows import PRIVATE, Rows
from penchant.store.encryption.vault import KEY_STORE, Vault, default_key_store, with_vault
from penchant.store.location import place_of
from penchant.store.schema import conversations, encryption, instructions, records, turns, users

_PAGE = 1_000


def opened(engine: sa.Engine, directory: Path, master_key: str | None, key_store: str | None) -> sa.Engine:
    """Return the engine of a store as it is to be used: for an encrypted one with its vault. Raises `InputError`
    without a master key, and `StoreError` for another one than the store's, or another key store.
    """
    with database.reading(engine) as connection:
        check = connection.execute(sa.select(encryption.c.check)).scalar()
    if check is None:
        return engine
    vault = _vault(engine, directory, master_key, key_store)
    try:
        vault.cipher(check)
    except StoreError:
        vault.close()
        raise
    return with_vault(engine, vault)


def encrypt(engine: sa.Engine, directory: Path, master_key: str | None, key_store: str | None) -> sa.Engine:
    """Encrypt all rows in one transaction, and return the engine with the vault. What the plain rows leave in the
    database's files is for the caller to remove. Raises `InputError` without a master key.
    """
    vault = _vault(engine, directory, master_key, key_store)
    try:
        with database.writing(engine) as connection:
            _lock(connection)
            if connection.execute(sa.select(encryption.c.check)).first() is not None:
                raise InputError(f"the store {place_of(engine)} is encrypted already: nothing was changed")
            owners = connection.execute(sa.select(users.c.key).order_by(users.c.key)).scalars().all()
            check, *names = vault.make(1 + len(owners))
            for owner, name in zip(owners, names, strict=True):
                connection.execute(sa.update(users).where(users.c.key == owner).values(data_key=name))
                _encrypt_user(connection, owner, Rows(vault.cipher(name)))
            connection.execute(sa.insert(encryption).values(check=check))
    except BaseException:
        vault.close()
        raise
    return with_vault(engine, vault)


def _vault(engine: sa.Engine, directory: Path, master_key: str | None, key_store: str | None) -> Vault:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the store {place_of(engine)} is to be encrypted ({error}): expected the package for it; "
            "run `pip install 'penchant[encrypt]'`"
        ) from error
    key, place = find_master_key(master_key), key_store or default_key_store()
    if "://" not in place and Path(place).resolve().is_relative_to(directory.resolve()):
        raise InputError(
            f"the key store {place} is inside the store's folder, whose copies would hold the keys: expected another "
            f"folder; name one by ${KEY_STORE}"
        )
    vault = Vault(key, place)
    if place_of(vault.engine) == place_of(engine):
        vault.close()
        raise InputError(
            f"the key store is the store's own database {place_of(engine)}, whose backups would hold the keys: "
            f"expected another one; name it by ${KEY_STORE}"
        )
    return vault


def _lock(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":  # in SQLite the transaction excludes others already
        names = ", ".join((users.name, *PRIVATE))
        connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")


def _encrypt_user(connection: sa.Connection, owner: int, rows: Rows) -> None:
    mine = sa.select(conversations.c.key).where(conversations.c.user == owner)
    for table, where in (
        (records, records.c.user == owner),
        (conversations, conversations.c.user == owner),
        (instructions, instructions.c.user == owner),
        (turns, turns.c.conversation.in_(mine)),
    ):
        last = -1
        while True:
            page = sa.select(table).where(table.c.key > last, where).order_by(table.c.key).limit(_PAGE)
            found = [dict(row) for row in connection.execute(page).mappings()]
            names = [*PRIVATE[table.name], "sealed", *(["hash"] if table is records else [])]
            changes: list[dict[str, Any]] = []
            for row in found:
                closed = rows.closed(table, row)
                changes.append({"row": row["key"], **{f"new_{name}": closed[name] for name in names}})
            if changes:
                changed = sa.update(table).where(table.c.key == sa.bindparam("row"))
                values = {name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
                connection.execute(changed.values(values), changes)
            if len(found) < _PAGE:
                break
            last = found[-1]["key"]
