"""Texts that repeat themselves, and texts that may: lists, code, poems, tables, refrains."""

import pytest

from penchant.text.repetition import Repetition, repeats

LOOPS = {
    "a sentence": "I'm sorry, but I can't help with that. " * 8,
    "after a good beginning": "Peanuts grow underground. " + "They are rich in fat and in protein, too.\n" * 6,
    "a long sentence": "Take the train to the coast, walk as far as the lighthouse and have lunch with us there. " * 5,
    "two words": "so " + "very, very, " * 40,
    "a numbered list of the same": "\n".join(
        f"{n}. Pack a warm sleeping bag and a good pair of shoes." for n in range(1, 12)
    ),
    "one letter": "a" * 2000,
    "without spaces": "我喜欢在海边散步。" * 9,
    "turn and turn about": "".join(
        f"Then it {verb}. The old fox is chosen to carry the message of the gods to the people of the hill. The people "
        "of the hill will wait for the message of the gods, and the old fox will bring it to them before the night. "
        for verb in ("ran", "sat", "slept", "ate", "sang", "hid", "rose", "fell", "flew")
    ),
    "zeros without an end": "0, " * 500,
}
FINE = {
    "a list": "\n".join(f"- {name}: {n} kg" for n, name in enumerate(["flour", "sugar", "salt", "oats", "rice"] * 4)),
    "a table": "| day | km |\n|---|---|\n" + "\n".join(f"| Day {n} | {n} km |" for n in range(1, 40)),
    "a refrain": "Row, row, row your boat,\nGently down the stream.\n" * 2
    + "Merrily, merrily, merrily, merrily,\nLife is.",
    "a chorus": "".join(
        f"The {thing} is on the water now\nOh come home, come home to me,\nthe lamp is lit, come home.\n\n"
        for thing in ("moon", "boat", "bird")
    ),
    "code": "\n".join(f"    self.layer{n} = Linear({n}, {n + 1})\n    self.norm{n} = Norm({n + 1})" for n in range(12)),
    "zeros": "[" + ", ".join("[0, 0, 0, 0, 0, 0, 0, 0]" for _ in range(8)) + "]",
    "a laugh": "ha " * 20,
    "a rule": "=" * 200,
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_found_before_they_end(name: str) -> None:
    text = LOOPS[name]
    reader = Repetition()
    pieces = [text[start : start + 3] for start in range(0, len(text), 3)]
    at = next((n for n, piece in enumerate(pieces) if reader.add(piece)), None)
    assert at is not None and at < len(pieces) - 1
    assert repeats(text)


@pytest.mark.parametrize("name", FINE)
def test_what_only_looks_alike_passes(name: str) -> None:
    assert not repeats(FINE[name])


def test_pieces_cut_anywhere_are_the_same_text() -> None:
    text = LOOPS["after a good beginning"]

    def read(size: int) -> int:
        reader = Repetition()
        return next(at for at in range(0, len(text), size) if reader.add(text[at : at + size]))

    assert max(read(size) for size in (1, 2, 5, 7)) - read(1) <= 7
