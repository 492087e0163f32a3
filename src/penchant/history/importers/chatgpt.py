"""ChatGPT's data export: conversations.json (or conversations-000.json, ...), in a folder or in the zip as it came."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, json_items, need_user, stream_items
from penchant.history.records import CHAT, Record


def read(path: str | Path, *, user: str | None = None) -> Iterator[Pair]:
    """Yield one record per turn that the person wrote; all belong to `user`.

    text: what the person wrote. The assistant's answer goes to meta["answer"], not to `reply`: a reply is written by
    the user, and only the user's own words may be marked, quoted and steered towards. meta["conversation"] is the
    title; id is the message's; kind "chat". Of a conversation with branches (regenerated answers, edited turns) only
    the branch that was last shown is read. Turns without text (images alone) and custom instructions are left out.
    Raises `InputError` for any other file.
    """
    owner = need_user(user, "a ChatGPT export")
    for number, conversation in enumerate(_conversations(Path(path)), 1):
        if not isinstance(conversation, dict) or not isinstance(conversation.get("mapping"), dict):
            raise InputError(f"conversation {number} of {Path(path).name} has no 'mapping': expected a ChatGPT export")
        for record in _records(conversation):
            yield owner, record


def _conversations(path: Path) -> Iterator[Any]:
    if path.suffix == ".zip" and path.is_file():
        yield from _zipped(path)
    elif path.is_dir():
        files = sorted(path.glob("conversations*.json"))
        if not files:
            raise InputError(f"{path} holds no conversations.json: expected an unpacked ChatGPT export; check the path")
        for file in files:
            yield from json_items(file)
    else:
        yield from json_items(path)


def _zipped(path: Path) -> Iterator[Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if Path(name).match("conversations*.json")]
            if not names:
                raise InputError(f"{path.name} holds no conversations.json: expected a ChatGPT export; check the file")
            for name in sorted(names):
                with archive.open(name) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as text:
                    yield from stream_items(text, f"{path.name}/{name}")
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} can't be read ({error}): expected the zip of a ChatGPT export") from error


def _records(conversation: Mapping[str, Any]) -> Iterator[Record]:
    title = str(conversation.get("title") or "")
    asked: Mapping[str, Any] | None = None
    answers: list[str] = []
    for message in [*_shown_branch(conversation), None]:
        role = message["author"].get("role") if message else "user"
        if role == "assistant" and message and asked:
            answers.append(_text(message))
        elif role == "user":
            if asked:
                yield _record(asked, "\n".join(filter(None, answers)), title, conversation)
            asked = message if message and _text(message) else None
            answers = []


def _record(asked: Mapping[str, Any], answer: str, title: str, conversation: Mapping[str, Any]) -> Record:
    meta = {"conversation": title, "answer": answer}
    seconds = asked.get("create_time") or conversation.get("create_time")
    when = datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int | float) else None
    kept = {key: value for key, value in meta.items() if value}
    return Record(_text(asked), id=str(asked.get("id") or ""), when=when, kind=CHAT, meta=kept)


def _shown_branch(conversation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the messages from the root to the node that was last shown (the newest leaf if none is named)."""
    mapping = conversation["mapping"]
    at: str | None = conversation.get("current_node")
    if at not in mapping:
        parents = {node.get("parent") for node in mapping.values()}
        leaves = [key for key in mapping if key not in parents]
        at = max(leaves, key=lambda key: (mapping[key].get("message") or {}).get("create_time") or 0, default=None)
    branch: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    while at is not None and at in mapping and at not in seen:
        seen.add(at)
        message = mapping[at].get("message")
        if isinstance(message, dict) and isinstance(message.get("author"), dict):
            branch.append(message)
        at = mapping[at].get("parent")
    return branch[::-1]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or {}
    if content.get("content_type") not in ("text", "multimodal_text", "code"):
        return ""  # thoughts, tool output, custom instructions
    if message.get("recipient", "all") != "all":
        return ""  # what the assistant wrote to a tool
    parts = content.get("parts") or [content.get("text") or ""]
    texts = (part if isinstance(part, str) else str(part.get("text") or "") for part in parts if part)
    return "\n".join(text for text in texts if text.strip()).strip()


IMPORTER = Importer(read, "ChatGPT data export: zip, folder or conversations.json")
