"""The patterns of statements, one file per language."""

from penchant.conversation.facts.language import Language
from penchant.conversation.facts.languages.english import ENGLISH
from penchant.conversation.facts.languages.french import FRENCH
from penchant.conversation.facts.languages.german import GERMAN
from penchant.conversation.facts.languages.italian import ITALIAN
from penchant.conversation.facts.languages.spanish import SPANISH

LANGUAGES: dict[str, Language] = {one.code: one for one in (ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN)}
