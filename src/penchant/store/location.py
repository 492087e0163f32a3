"""The default location of a store, and where a user's files lie inside it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.folders import data_folder

if TYPE_CHECKING:
    from sqlalchemy import Engine

DATABASE = "penchant.db"
INDEXES = "indexes"
EPISODES = "episodes"


def default_store() -> str:
    """$PENCHANT_STORE (a folder or a database URL), else the platform's folder for application data."""
    return os.environ.get("PENCHANT_STORE") or str(data_folder())


def store_options(engine: Engine) -> dict[str, str]:
    """The option of the command line that names an engine's store, for `hints.command`; none for the default one."""
    url = engine.url
    place = str(Path(url.database or "").parent) if url.get_backend_name() == "sqlite" else str(url)  # no password
    return {} if place == str(Path(default_store())) or str(url) == default_store() else {"store": place}


def user_folder(user: str) -> str:
    """Return the name of a user's folder in every area of a store: the SHA-256 of the user id, so that any id
    is safe.
    """
    return hashlib.sha256(user.encode("utf-8")).hexdigest()


def conversation_folder(directory: Path, user: str, conversation: str) -> Path:
    """`<store>/episodes/<user's folder>/<16 digits of a hash of the conversation's id>` (not created here)."""
    digits = hashlib.sha256(conversation.encode("utf-8")).hexdigest()[:16]
    return directory / EPISODES / user_folder(user) / digits
