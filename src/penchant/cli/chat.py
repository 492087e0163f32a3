"""`penchant chat`: a conversation in the terminal, or with a script."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from penchant.cli.endpoint import (
    EndpointKeyOption,
    EndpointModelOption,
    EndpointOption,
    EndpointTimeoutOption,
    chosen_endpoint,
    only_local,
    tell_what_leaves,
)
from penchant.cli.options import (
    DatesOption,
    MarkerOption,
    MaxTokensOption,
    ModelOption,
    SeedOption,
    TemperatureOption,
    check_temperature,
)
from penchant.cli.output import JsonOption, StoreOption, emit, open_store
from penchant.cli.streams import stdin, stdout
from penchant.conversation.defaults import BUDGET, MAX_NEW_TOKENS, NOTES
from penchant.conversation.instructions.registry import DEFAULT_DETECTOR, DETECTORS
from penchant.conversation.registry import DEFAULT_MEMORY, MEMORIES
from penchant.errors import InputError
from penchant.marking.registry import DEFAULT_MARKER, MARKERS

if TYPE_CHECKING:
    from penchant.store import Store


def chat(
    *,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The user who is talking.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The conversation to continue or begin.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the newest conversation; with --name, that one, if it exists.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the user's conversations.")] = False,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="The system prompt.", show_default=False)
    ] = None,
    system_file: Annotated[
        Path | None,
        typer.Option("--system-file", metavar="FILE", help="A file with the system prompt.", show_default=False),
    ] = None,
    memory: Annotated[
        str,
        typer.Option("--memory", metavar="NAME", help=f"Chooses past exchanges: one of {', '.join(MEMORIES)}."),
    ] = DEFAULT_MEMORY,
    detector: Annotated[
        str,
        typer.Option("--detector", metavar="NAME", help=f"Finds instructions: one of {', '.join(DETECTORS)}."),
    ] = DEFAULT_DETECTOR,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            metavar="TOKENS",
            help=f"Most tokens of a prompt. Default: a quarter of the model's window, at most {BUDGET}.",
            show_default=False,
        ),
    ] = None,
    notes: Annotated[
        float,
        typer.Option("--notes", metavar="SHARE", help="Share of the prompt for the user's history; 0: none."),
    ] = NOTES,
    marker: MarkerOption = DEFAULT_MARKER,
    priority: Annotated[
        float,
        typer.Option("--priority", metavar="NATS", min=0, help="Extra attention to instructions, in nats."),
    ] = 0.0,
    max_tokens: MaxTokensOption = MAX_NEW_TOKENS,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    dates: DatesOption = True,
    model: ModelOption = "smollm2",
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = None,
    endpoint_key_env: EndpointKeyOption = None,
    endpoint_timeout: EndpointTimeoutOption = 60.0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Chat with the model: it follows your standing instructions and remembers what you said. /help lists the commands.

    A script can write its turns to stdin, one per line. With --json every line is a turn, and commands don't apply.
    """
    from penchant.cli.chat_document import document
    from penchant.cli.chat_session import Session
    from penchant.cli.chat_terminal import Waiting
    from penchant.cli.chat_turns import at_terminal, scripted
    from penchant.personalizer import Personalizer
    from penchant.store.keys import checked

    checked(user)
    check_temperature(temperature)
    MARKERS.check(marker)
    system_prompt = _system(system, system_file)
    answering = chosen_endpoint(endpoint, endpoint_model, endpoint_key_env, endpoint_timeout)
    only_local(answering, priority=priority)
    with open_store(store, create=not listed) as opened:
        if listed:
            _list(opened, user, as_json)
            return 0
        chosen = _chosen(opened, user, name, resume)
        waiting = Waiting()
        options: dict[str, Any] = {
            "memory": memory,
            "detector": detector,
            "budget": budget,
            "notes": notes,
            "priority": priority,
        }
        with waiting(f"loading {escape(model)}"):
            # Without notes nothing is marked, so choose a marker that needs no calibration.
            used = marker if notes else "recency"
            personalizer = Personalizer(
                model, store=opened, marker=used, dates=dates, progress=waiting.encoded, endpoint=answering
            )
            personalizer.conversation(**options)  # without a user: bad options are reported before anything is stored
        tell_what_leaves(answering, what="what you say, and what is known about you,")
        session = Session(
            user,
            opened,
            personalizer,
            waiting,
            at_terminal=not as_json and stdin().isatty() and stdout().isatty(),
            name=chosen,
            system=system_prompt,
            options=options,
            sampling={"max_tokens": max_tokens, "temperature": temperature, "seed": seed},
        )
        if isinstance(said := stdin(), io.TextIOWrapper):
            said.reconfigure(encoding="utf-8", errors="replace")
        try:
            if as_json:
                texts = [text for text in said.read().split("\n") if text.strip()]
                emit(document(session, texts), True, lambda: None)
                return 0
            return at_terminal(session) if session.at_terminal else scripted(session)
        finally:
            session.close()


def _system(text: str | None, file: Path | None) -> str | None:
    if file is None:
        return text
    if text is not None:
        raise InputError("--system and --system-file were both given: choose one")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"can't read the system prompt from {file} ({why}): expected a text file") from error


def _chosen(store: Store, user: str, name: str | None, resume: bool) -> str:
    """Return the name of the conversation to open; "" for a new one."""
    from penchant.cli.chat_session import check_known
    from penchant.store.keys import checked

    if name is not None:
        checked(name, "conversation")
        if resume:
            check_known(store, user, name)
        return name
    if not resume:
        return ""
    entries = store.conversations.list(user)
    if not entries:
        raise InputError(f"user {user!r} has no conversation to continue: leave out --resume to begin one")
    return next((entry for entry in entries if entry.turns), entries[0]).id


def _list(store: Store, user: str, as_json: bool) -> None:
    from penchant.cli import chat_views as views

    entries = store.conversations.list(user)
    rows = [
        {
            "name": one.id,
            "turns": one.turns,
            "begun": one.begun.isoformat(),
            "last": None if one.last is None else one.last.isoformat(),
            "opening": one.opening,
            "system": one.system,
        }
        for one in entries
    ]
    emit({"user": user, "conversations": rows}, as_json, lambda: views.show(views.conversations(entries)))
