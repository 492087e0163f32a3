"""`penchant add`: one more record of a user."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated

import typer

from penchant.cli.output import JsonOption, StoreOption, emit, open_store, say
from penchant.errors import InputError
from penchant.history.records import Record


def add(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the user wrote or did.", show_default=False)],
    *,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Whose record it is.", show_default=False)],
    when: Annotated[
        str | None,
        typer.Option("--when", metavar="TIME", help="ISO 8601, such as 2026-05-01. Default: now.", show_default=False),
    ] = None,
    reply: Annotated[
        str | None,
        typer.Option("--reply", metavar="TEXT", help="The user's answer to TEXT, if there is one.", show_default=False),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="L", help="A rating or a class.", show_default=False)
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="NAME", help="The kind of record.", show_default=False)
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Never send anything of it to an endpoint on another machine.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add one record to a user's history; a new user is made."""
    record = Record(
        text, reply=reply, label=_label(label), when=_time(when), kind=kind, meta={"private": True} if private else None
    )
    with open_store(store) as opened:
        opened.add(user, [record])
        document = {"user": user, "record": record.id, "records": opened.count(user), "store": opened.place}
    many = "1 record" if document["records"] == 1 else f"{document['records']:,} records"
    emit(document, as_json, lambda: say(f"added; {user} has {many} in {document['store']}"))


def _time(given: str | None) -> datetime:
    if given is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        raise InputError(f"--when {given!r}: expected an ISO 8601 time such as 2026-05-01T10:00:00Z") from None


def _label(given: str | None) -> float | str | None:
    try:
        return float(given) if given is not None and math.isfinite(float(given)) else given
    except ValueError:
        return given
