"""`penchant store`: what is done to a store as a whole."""

from __future__ import annotations

from typing import Annotated

import typer

from penchant.cli.output import JsonOption, StoreOption, confirmed, emit, open_store, say, stderr
from penchant.errors import InputError

store_app = typer.Typer(no_args_is_help=True, help="Encrypt or rewrite the database of a store.")


@store_app.command("encrypt")
def encrypt_store(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt the texts of all users, each with a key of its own, which is destroyed when the user is erased.

    The master key comes from $PENCHANT_MASTER_KEY or $PENCHANT_MASTER_KEY_FILE; `openssl rand -base64 32` makes one.
    Users' keys are kept in $PENCHANT_KEY_STORE. A store that isn't there is made. There is no way back, and without
    either of the two nothing can be read.
    """
    from penchant.store.encryption.vault import default_key_store
    from penchant.store.postgresql import shown

    with open_store(store) as opened:
        keys = shown(default_key_store())
        if not yes and not confirmed(f"Encrypt {opened.place}, with users' keys in {keys}, for good?"):
            raise InputError("nothing was encrypted: expected a 'y'; answer y, or pass --yes")
        with stderr.status("Encrypting, and rewriting the database without the plain texts"):
            opened.encrypt()
        document = {"store": opened.place, "key_store": keys, "users": opened.count()}

    def human() -> None:
        say(f"encrypted {document['store']}: {document['users']:,} users")
        say(f"keep the master key, and keep {keys} out of the backups of the store")

    emit(document, as_json, human)


@store_app.command("compact")
def compact_store(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Rewrite the database without what deleted rows left in its files. Nobody else can use it meanwhile."""
    with open_store(store, create=False) as opened, stderr.status("Rewriting the database"):
        opened.compact()
        document = {"store": opened.place}
    emit(document, as_json, lambda: say(f"rewrote {document['store']}"))
