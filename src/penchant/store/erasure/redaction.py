"""Takes words out of stored turns: their texts are replaced, and nothing of the old ones is left."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from penchant.errors import InputError, StoreError
from penchant.store import engine as database
from penchant.store.encryption.rows import rows_of
from penchant.store.erasure import cleaning
from penchant.store.erasure import users as erasure
from penchant.store.keys import checked, conversation_key, user_key
from penchant.store.location import conversation_folder
from penchant.store.schema import turns


def redact(engine: sa.Engine, directory: Path, user: str, conversation: str, texts: Mapping[int, str]) -> None:
    """See `Conversations.redact`."""
    folder = conversation_folder(directory, checked(user), checked(conversation, "conversation"))
    marker = directory / f"{erasure.MARKER}words-{uuid.uuid4().hex[:16]}"
    try:
        with database.writing(engine) as connection:
            key = conversation_key(connection, user, conversation)
            mine = rows_of(connection, user_key(connection, user))
            for number, text in texts.items():
                where = (turns.c.conversation == key) & (turns.c.number == number)
                row = mine.closed(turns, {"conversation": key, "number": number, "text": text})
                if not connection.execute(sa.update(turns).where(where).values(row)).rowcount:
                    raise InputError(
                        f"conversation {conversation!r} has no turn {number}: expected the number of an existing turn"
                    )
            # Before the commit: from then on the erasure will be finished, whatever happens.
            erasure.write_marker(marker, [], [folder.relative_to(directory)])
        erasure.remove_folder(folder)
        cleaning.compact(engine)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"files of {user!r} can't be removed ({error}): make {directory} writable, try again"
        ) from error
