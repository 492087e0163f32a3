"""The default location of a store, and where a user's files lie inside it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.folders import data_folder
from penchant.store.postgresql import parse_url, shown

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

DATABASE = "penchant.db"
DATABASES = "databases"
INDEXES = "indexes"
EPISODES = "episodes"


def default_store() -> str:
    """$PENCHANT_STORE (a folder or a database URL), else the platform's folder for application data."""
    return os.environ.get("PENCHANT_STORE") or str(data_folder())


def place_of(engine: Engine) -> str:
    """Where an engine's store is, for people: its folder, or its URL without a password."""
    url = engine.url
    return str(Path(url.database or "").parent) if url.get_backend_name() == "sqlite" else shown(url)


def store_options(engine: Engine) -> dict[str, str]:
    """The option of the command line that names an engine's store, for `hints.command`; none for the default one."""
    place, default = place_of(engine), default_store()
    named = parse_url(default) == engine.url if "://" in default else str(Path(default)) == place
    return {} if named else {"store": place}


def files_of(url: URL) -> Path:
    """The folder for what is kept beside a database elsewhere: one for each, so that users of the same id in two
    databases have different folders.
    """
    named = json.dumps([url.host, url.port, url.database, url.query.get("host"), url.query.get("options")])
    return data_folder() / DATABASES / hashlib.sha256(named.encode("utf-8")).hexdigest()[:16]


def user_folder(user: str) -> str:
    """Return the name of a user's folder in every area of a store: the SHA-256 of the user id, so that any id
    is safe.
    """
    return hashlib.sha256(user.encode("utf-8")).hexdigest()


def conversation_folder(directory: Path, user: str, conversation: str) -> Path:
    """`<store>/episodes/<user's folder>/<16 digits of a hash of the conversation's id>` (not created here)."""
    digits = hashlib.sha256(conversation.encode("utf-8")).hexdigest()[:16]
    return directory / EPISODES / user_folder(user) / digits
