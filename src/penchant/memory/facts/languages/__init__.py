"""The patterns, one file a language."""

from penchant.memory.facts.language import Language
from penchant.memory.facts.languages.english import ENGLISH
from penchant.memory.facts.languages.french import FRENCH
from penchant.memory.facts.languages.german import GERMAN
from penchant.memory.facts.languages.italian import ITALIAN
from penchant.memory.facts.languages.spanish import SPANISH

LANGUAGES: dict[str, Language] = {one.code: one for one in (ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN)}
