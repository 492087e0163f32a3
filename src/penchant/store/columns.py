"""Types of columns that databases don't have in common."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

_ESCAPE = "\x1a"  # the character SUBSTITUTE; a text that has one is changed as well, so that every text comes back


class _AnyText(TypeDecorator[str]):
    """Text with any characters in PostgreSQL, which takes no NUL: it is written as two other characters."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (_ESCAPE not in value and "\x00" not in value):
            return value
        return value.replace(_ESCAPE, _ESCAPE + "1").replace("\x00", _ESCAPE + "0")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        if value is None or _ESCAPE not in value:
            return value
        whole: str = value.replace(_ESCAPE + "0", "\x00").replace(_ESCAPE + "1", _ESCAPE)
        return whole


def text(collation: str | None = None) -> TypeEngine[str]:
    """Text with any characters. collation: PostgreSQL's; "C" orders by code points, as SQLite does."""
    return Text().with_variant(_AnyText(collation=collation), "postgresql")


def row_key() -> TypeEngine[int]:
    """Numbers of rows, in the order in which they arrive."""
    return BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is SQLite's row id
