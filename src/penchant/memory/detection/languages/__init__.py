"""What people write when they give an assistant a standing instruction: one table of patterns a language."""

from penchant.memory.detection.languages.english import ENGLISH
from penchant.memory.detection.languages.french import FRENCH
from penchant.memory.detection.languages.german import GERMAN
from penchant.memory.detection.languages.italian import ITALIAN
from penchant.memory.detection.languages.spanish import SPANISH
from penchant.memory.detection.languages.table import Table

TABLES: dict[str, Table] = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH, "it": ITALIAN}

__all__ = ["TABLES", "Table"]
