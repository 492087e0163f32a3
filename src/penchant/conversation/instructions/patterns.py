"""Detects standing instructions by patterns alone (`patterns`): fast, five languages, no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import regex

from penchant.conversation.attribution import OthersWords, mostly_others, others_words
from penchant.conversation.context import Detector, Found
from penchant.conversation.instructions.classification import Classification, classify
from penchant.conversation.instructions.ending import ended_by
from penchant.conversation.instructions.languages import Table, tables
from penchant.conversation.instructions.ngrams import classifier, is_foreign
from penchant.conversation.instructions.scope import scope_of
from penchant.conversation.instructions.sentences import Sentence, sentences
from penchant.conversation.instructions.slots import slot_of
from penchant.history.dialogue import Instruction

_GOES_ON = regex.compile(r"\s*[;:–—]\s*")

Judge = Callable[[Sequence[str]], Sequence[bool]]
"""Says for each sentence whether it is a standing instruction."""


def patterns() -> Detector:
    """Detector without a model. The text of an instruction is a sentence, a clause, or a list with the line above it,
    verbatim.
    """
    return detector(None)


def detector(
    judge: Judge | None, asked: Callable[[Sentence, Classification], bool] | None = None, possible: Judge | None = None
) -> Detector:
    """Make a detector by patterns, and by n-grams in languages without a cue file. judge: classifies the sentences for
    which `asked` is true (default: the doubtful ones). possible: can reject those that the patterns are sure of.
    """
    wanted = asked or (lambda sentence, found: found.confidence == "doubt")

    def detect(text: str, known: Sequence[Instruction]) -> Found:
        ended: list[str] = []
        left: list[tuple[Sentence, Classification]] = []
        others = others_words(text)
        for sentence in sentences(text):
            if _of_others(others, sentence):
                continue
            over = ended_by(sentence, [one for one in known if one.id not in ended])
            ended.extend(over.ids)
            if over.meant:
                left.extend(
                    (part, found) for part in _besides(sentence) if (found := classify(part)).confidence == "yes"
                )
            else:
                left.append((sentence, classify(sentence)))
        chosen = [found.confidence == "yes" for _, found in left]
        sure = [position for position, yes in enumerate(chosen) if yes]
        unsure = [position for position, yes in enumerate(chosen) if not yes]
        for position in unsure:
            plain = left[position][0].plain
            chosen[position] = is_foreign(plain) and classifier().accepts(plain)
        doubtful = [position for position in unsure if not chosen[position] and wanted(*left[position])]
        for whom, positions in ((judge, doubtful), (possible, sure)):
            if whom is not None and positions:
                answers = whom([left[position][0].text for position in positions])
                for position, yes in zip(positions, answers, strict=True):
                    chosen[position] = yes
        given = [
            instruction(text, _with_opinion(text, left, position), found.table)
            for position, (_, found) in enumerate(left)
            if chosen[position]
        ]
        return Found(tuple(given), tuple(ended))

    return detect


def instruction(text: str, span: tuple[int, int], table: Table | None) -> Instruction:
    """Make an instruction from characters of a turn, with scope and slot."""
    said = text[slice(*span)]
    table = table or tables()["en"]
    slot = slot_of(said, table)
    scope, until = scope_of(said, slot, table)
    return Instruction("", said, scope=scope, until=until, slot=slot)


def _of_others(others: Sequence[OthersWords], sentence: Sentence) -> bool:
    """Whether others say a sentence. "End with 'Is there anything else?'" is the user's own, whatever its length; so is
    "pretend you're a pirate".
    """
    told = [one for one in others if one.kind not in ("imagined", "quoted")]
    return mostly_others(told, sentence.start, sentence.end) or any(
        one.kind == "quoted" and one.start <= sentence.start and sentence.end <= one.end for one in others
    )


def _besides(sentence: Sentence) -> list[Sentence]:
    """The rest of a sentence that goes on after ending an instruction ("Stop that; rhyme from now on.")."""
    found = _GOES_ON.search(sentence.plain)
    if found is None:
        return []
    at = found.end()
    return [Sentence(sentence.start + at, sentence.end, sentence.text[at:], sentence.plain[at:])]


def _with_opinion(text: str, pairs: Sequence[tuple[Sentence, Classification]], position: int) -> tuple[int, int]:
    """Return the span of the instruction. "I hate commas." belongs to it if the next sentence only says "Leave them
    out."
    """
    sentence, found = pairs[position]
    table = found.table
    start = sentence.start + found.start
    if position and table is not None and found.start == 0:
        before = pairs[position - 1][0]
        near = "\n" not in text[before.end : sentence.start]
        says = table.find("wish", before.plain) and any(
            table.find(f"slot.{name}", before.plain) for name in table.slots
        )
        if near and says and not before.asks:
            start = before.start
    return start, sentence.end
