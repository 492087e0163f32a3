"""`penchant keys`: the keys of the server's clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from penchant.cli.output import JsonOption, StoreOption, emit, open_store, say, stderr, stdout_console, write_verbatim
from penchant.hints import command

if TYPE_CHECKING:
    from penchant.store.api_keys import ApiKey

keys_app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of the server's clients.")


@keys_app.command("create")
def create_key(
    *,
    tenant: Annotated[
        str,
        typer.Argument(
            metavar="TENANT",
            help="Whose users the key sees: those stored as TENANT/ID. 'default': those without a tenant.",
            show_default=False,
        ),
    ],
    scope: Annotated[
        str, typer.Option("--scope", metavar="NAME", help="read: ask; write: also add; admin: also export and erase.")
    ] = "read",
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="ID", help="The only user of the key, named by the key.", show_default=False),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option("--rate", min=1, metavar="N", help="Most requests a minute.", show_default=False),
    ] = None,
    max_body: Annotated[
        int | None,
        typer.Option("--max-body", min=1, metavar="BYTES", help="Largest body of a request.", show_default=False),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once: the store keeps only a hash.

    As soon as a store has had a key, the server needs one for every request.
    """
    with open_store(store) as opened:
        key, text = opened.api_keys.create(tenant, scope, user=user, rate=rate, body_bytes=max_body)
    document = {**_document(key), "key": text}

    def human() -> None:
        write_verbatim(text)  # alone on stdout: KEY=$(penchant keys create acme)
        revoke = command("keys revoke", key.id, **opened.options)
        note = f"key {key.id} of {key.tenant}, scope {key.scope}: it is shown only now; {revoke} ends it"
        stderr.print(note, markup=False, highlight=False, soft_wrap=True)

    emit(document, as_json, human)


@keys_app.command("list")
def list_keys(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the keys, also those that were revoked."""
    with open_store(store, create=False) as opened:
        keys = opened.api_keys.list()

    def human() -> None:
        table = Table("id", "tenant", "scope", "user", "a minute", "created", "revoked")
        for key in keys:
            ended = f"{key.revoked:%Y-%m-%d}" if key.revoked else ""
            row = [key.id, key.tenant, key.scope, key.user or "", key.rate or "", f"{key.created:%Y-%m-%d}", ended]
            table.add_row(*(escape(str(cell)) for cell in row))
        stdout_console().print(table)

    emit({"keys": [_document(key) for key in keys]}, as_json, human)


@keys_app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id.", show_default=False)],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key. A running server refuses it within seconds."""
    with open_store(store, create=False) as opened:
        opened.api_keys.revoke(key)
    emit({"revoked": key}, as_json, lambda: say(f"key {key} is revoked"))


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "scope": key.scope,
        "user": key.user,
        "rate": key.rate,
        "body_bytes": key.body_bytes,
        "created": key.created.isoformat(),
        "revoked": key.revoked.isoformat() if key.revoked else None,
    }
