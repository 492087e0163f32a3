"""`penchant import`: putting records into the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperCommand

from penchant.cli.output import JsonOption, StoreOption, emit, open_store, say, stderr
from penchant.errors import ExtensionError, InputError
from penchant.history.importers import IMPORTERS, read_format
from penchant.history.records import CHAT

if TYPE_CHECKING:
    from penchant.conversation.retention.imports import WishesOfImports
    from penchant.history.importers.reading import Pair
    from penchant.store import Counts

import_app = typer.Typer()


class _WithFormats(TyperCommand):
    """A command whose help lists the formats. They are imported for the help alone."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Formats"):
            formatter.write_dl([(name, _describe(name)) for name in IMPORTERS])


def _describe(name: str) -> str:
    try:
        importer = IMPORTERS[name]
    except ExtensionError as error:  # of one package: the other formats are still there
        return f"can't be used, {error}"
    options = ", ".join(importer.options)
    return importer.summary + (f" (-o {options})" if options else "")


@import_app.command("import", cls=_WithFormats)
def import_command(
    *,
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="One of the formats below.", show_default=False)],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="File or folder.", show_default=False)],
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            metavar="ID",
            help="The user whose records these are; for a file of several users, the one to import.",
            show_default=False,
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-o", metavar="KEY=VALUE", help="An option of the format, such as text_column=review."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite stored records that have the same id but other content.")
    ] = False,
    keep_off_record: Annotated[
        bool, typer.Option("--keep-off-record", help="Import also what was said off the record in a chat.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import records into the store; importing the same file again adds nothing."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    started = time.perf_counter()
    pairs = read_format(format, path, user=user, **_options(format, option or []))
    users: set[str] = set()
    wishes = _Wishes(keep_off_record)

    def noted(source: Iterator[Pair]) -> Iterator[Pair]:
        for owner, record in wishes.kept(source):
            users.add(owner)
            yield owner, record

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        open_store(store) as opened,
        Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress,
    ):
        task = progress.add_task(f"Importing {escape(path.name)}", total=None)

        def show(counts: Counts) -> None:
            done = counts.added + counts.unchanged + counts.replaced
            progress.update(task, description=f"{done:,} records of {len(users):,} users")

        counts = opened.add_many(noted(pairs), replace=replace, acknowledge=show)
        where = opened.place
    if not users and not wishes.left_out:
        wanted = f" of user {user!r}" if user and IMPORTERS[format].several_users else ""
        raise InputError(f"{path} holds no records{wanted}: expected at least one; check the file and the options")
    document = {
        "format": format,
        "users": len(users),
        "added": counts.added,
        "unchanged": counts.unchanged,
        "replaced": counts.replaced,
        "off_record": wishes.left_out,
        "store": where,
        "seconds": round(time.perf_counter() - started, 3),
    }
    emit(document, as_json, lambda: say(_summary(document)))


class _Wishes:
    """What was said off the record is left out, unless all is to be kept. Files without chats need no patterns."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._filter: WishesOfImports | None = None

    @property
    def left_out(self) -> int:
        return 0 if self._filter is None else self._filter.left_out

    def kept(self, source: Iterator[Pair]) -> Iterator[Pair]:
        for pair in source:
            if self._keep or pair[1].kind != CHAT:
                yield pair
                continue
            if self._filter is None:
                from penchant.conversation.retention.imports import WishesOfImports

                self._filter = WishesOfImports()
            yield from self._filter.kept([pair])


def _summary(document: dict[str, Any]) -> str:
    parts = [
        f"{document[key]:,} {key}" for key in ("added", "unchanged", "replaced") if document[key] or key == "added"
    ]
    if document["off_record"]:
        parts.append(f"{document['off_record']:,} left out, said off the record")
    people = "1 user" if document["users"] == 1 else f"{document['users']:,} users"
    return f"{', '.join(parts)} ({people}, {document['seconds']} s) in {document['store']}"


def _options(name: str, pairs: list[str]) -> dict[str, object]:
    defaults = IMPORTERS.find(name).options
    options: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"the option {pair!r} can't be used: expected KEY=VALUE, such as text_column=review")
        key = key.strip().replace("-", "_")
        options[key] = _switch(key, value) if isinstance(defaults.get(key), bool) else value
    return options


def _switch(key: str, value: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if value.lower() not in known:
        raise InputError(f"the option {key}={value!r} can't be used: expected true or false")
    return known[value.lower()]
