"""The patterns of instructions, one file per language."""

from collections.abc import Sequence

from penchant.conversation.instructions.languages.english import ENGLISH
from penchant.conversation.instructions.languages.french import FRENCH
from penchant.conversation.instructions.languages.german import GERMAN
from penchant.conversation.instructions.languages.italian import ITALIAN
from penchant.conversation.instructions.languages.spanish import SPANISH
from penchant.conversation.instructions.languages.table import Table

TABLES: dict[str, Table] = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH, "it": ITALIAN}

_FEW = 6  # words: fewer don't tell their language


def tables_for(words: Sequence[str]) -> Sequence[Table]:
    """The tables of the languages that a sentence may be in, by its function words; all, when it has few words."""
    if len(words) < _FEW:
        return tuple(TABLES.values())
    counts = [sum(word in table.common for word in words) for table in TABLES.values()]
    most = max(counts)
    return [table for table, count in zip(TABLES.values(), counts, strict=True) if 2 * count >= most]


__all__ = ["TABLES", "Table", "tables_for"]
