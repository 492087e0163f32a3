"""`penchant users`: listing the users of a store, erasing one, and getting data out again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from penchant.cli.output import (
    JsonOption,
    StoreOption,
    check_file,
    confirmed,
    emit,
    open_store,
    say,
    stderr,
    stdout_console,
)
from penchant.cli.streams import stdout
from penchant.errors import InputError
from penchant.hints import command

if TYPE_CHECKING:
    from penchant.store import Store

User = Annotated[str, typer.Argument(metavar="ID", help="The user.", show_default=False)]

users_app = typer.Typer(help="List, show, erase and export the users of the store.", invoke_without_command=True)


@users_app.callback()
def list_users(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", help="Users per page.")] = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Begin after this user.", show_default=False)
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the users, a page at a time, or show, forget or export one."""
    if context.invoked_subcommand:
        return
    with _opened(context, store) as opened:
        entries = list(opened.users(limit, after))
        total = opened.count()
    more = bool(entries) and len(entries) == limit
    document = {
        "users": [{"user": entry.user, "records": entry.records} for entry in entries],
        "total": total,
        "next": entries[-1].user if more else None,
    }

    def human() -> None:
        table = Table("user", "records")
        table.columns[1].justify = "right"
        for entry in entries:
            table.add_row(escape(entry.user), f"{entry.records:,}")
        stdout_console().print(table)
        after = command("users", limit=limit, after=entries[-1].user, **opened.options) if more else ""
        say(f"{len(entries)} of {total:,} users" + (f"; continue with {after}" if more else ""))

    emit(document, as_json, human)


@users_app.command("show")
def show_user(context: typer.Context, user: User, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show how much is stored for a user, of which kinds and dates, with conversations and standing instructions."""
    from penchant.store.conversation_list import one_line

    with _opened(context, store) as opened:
        history = opened.history(user)
        indexed = opened.index_dir(user).is_dir()
        talks = opened.conversations.list(user)
        standing = [one for one in opened.conversations.instructions(user, None) if one.active]
    times = [record.when for record in history if record.when]
    document = {
        "user": user,
        "records": len(history),
        "characters": sum(len(record.body) for record in history),
        "first": min(times).isoformat() if times else None,
        "last": max(times).isoformat() if times else None,
        "kinds": dict(Counter(record.kind or "" for record in history).most_common()),
        "indexed": indexed,
    }
    lists = {
        "conversations": [
            {"id": one.id, "turns": one.turns, "last": (one.last or one.begun).isoformat(), "opening": one.opening}
            for one in talks
        ],
        "instructions": [
            {"id": one.id, "scope": one.scope, "conversation": one.conversation, "text": one.text} for one in standing
        ],
    }

    def human() -> None:
        _say_all({**document, "conversations": len(talks), "instructions": len(standing)})
        for talk in talks:
            when = f"{talk.last or talk.begun:%Y-%m-%d %H:%M}"
            say(f"conversation {talk.id}: {talk.turns} turns, {when}, {talk.opening!r}")
        for one in standing:
            where = f" ({one.conversation})" if one.conversation and one.scope != "always" else ""
            say(f"instruction, {one.scope}{where}: {one_line(one.text)}")

    emit({**document, **lists}, _json(context, as_json), human)


@users_app.command("forget")
def forget_user(
    context: typer.Context,
    user: User,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a user and everything stored for the user, and print a receipt."""
    with _opened(context, store) as opened:
        kept = f"{opened.count(user):,} records and {len(opened.conversations.list(user)):,} conversations"
        if not yes and not confirmed(f"Erase user {user!r} with {kept} from {opened.place} for good?"):
            raise InputError(f"nothing was erased: expected a 'y' to erase {user!r}; answer y, or pass --yes")
        with stderr.status("Erasing, and checking that nothing is left"):
            receipt = opened.forget(user).as_dict()
    emit({"receipt": receipt}, _json(context, as_json), lambda: _say_receipt(receipt))


def _say_receipt(receipt: Mapping[str, Any]) -> None:
    """Say what was erased, and what was then looked for, in sentences."""
    rows = f" and {receipt['scanned_rows']:,} rows of its database" if receipt["scanned_rows"] else ""
    said = [
        f"erased {receipt['user']}: {receipt['records']:,} records, {receipt['conversations']:,} conversations with "
        f"{receipt['turns']:,} turns, {receipt['instructions']:,} instructions and {receipt['files']:,} files "
        f"({receipt['bytes']:,} bytes)",
        f"then searched all {receipt['scanned_files']:,} files of the store ({receipt['scanned_bytes']:,} bytes){rows} "
        f"for {receipt['searched']:,} passages of the user's texts, of 8 words each: none is left",
    ]
    if receipt["derived"]:
        said.append(f"{receipt['derived']:,} results made from the user's data together with others' were erased too")
    if receipt["shared"]:
        said.append(f"{receipt['shared']:,} of the passages are also in records of other users, and stay there")
    if receipt["too_short"]:
        said.append(f"{receipt['too_short']:,} texts of fewer than 8 bytes were too short to search for")
    if receipt["remains"]:
        said.append(f"the database's server may still hold them in its {', '.join(receipt['remains'])}")
    for line in said:
        say(line)


@users_app.command("export")
def export_user(
    *,
    context: typer.Context,
    user: User,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write to this file instead of stdout.", show_default=False),
    ] = None,
    conversations: Annotated[
        bool, typer.Option("--conversations", help="Export all turns and instructions instead of the records.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a user's records as JSON Lines that `penchant import jsonl` reads, or the user's conversations."""
    from penchant.history.jsonl import write_lines

    check_file(out)
    with _opened(context, store) as opened:
        lines = opened.conversations.export(user) if conversations else opened.export(user)
        what = "lines" if conversations else "records"
        if out is not None:
            count = write_lines(out, lines)
            document: dict[str, Any] = {"user": user, what: count, "file": str(out)}
            emit(document, _json(context, as_json), lambda: say(f"{count:,} {what} in {out}"))
        elif _json(context, as_json):
            emit({"user": user, what: [json.loads(line) for line in lines]}, True, lambda: None)
        else:
            for line in lines:
                stdout().write(line + "\n")
            stdout().flush()


def _opened(context: typer.Context, store: str | None) -> Store:
    """Open the store named after the subcommand, or else before it (`penchant users --store X show ID`)."""
    return open_store(store or (context.parent.params.get("store") if context.parent else None), create=False)


def _json(context: typer.Context, as_json: bool) -> bool:
    return as_json or bool(context.parent and context.parent.params.get("as_json"))


def _say_all(document: dict[str, Any]) -> None:
    for key, value in document.items():
        shown = ", ".join(f"{name or '(none)'} {n}" for name, n in value.items()) if isinstance(value, dict) else value
        say(f"{key.replace('_', ' '):14} {'-' if shown is None else shown}")
