"""The patterns of instructions, one file per language."""

from collections.abc import Sequence

from penchant.conversation.instructions.languages.english import ENGLISH
from penchant.conversation.instructions.languages.french import FRENCH
from penchant.conversation.instructions.languages.german import GERMAN
from penchant.conversation.instructions.languages.italian import ITALIAN
from penchant.conversation.instructions.languages.spanish import SPANISH
from penchant.conversation.instructions.languages.table import Table
from penchant.text.language import identify

TABLES: dict[str, Table] = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH, "it": ITALIAN}

SURE = 0.6
"""Probability from which on a sentence is looked at in one language alone."""


def tables_for(plain: str) -> Sequence[Table]:
    """The table of the language that a sentence is in; all, when that isn't sure or there is none of it."""
    code = identify(plain.replace("_", ""), SURE)
    return (TABLES[code],) if code in TABLES else tuple(TABLES.values())


__all__ = ["TABLES", "Table", "tables_for"]
