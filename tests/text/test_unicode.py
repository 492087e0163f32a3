"""Control characters and lone surrogates (`text/unicode.py`)."""

from penchant.text.unicode import replace_surrogates, sanitize


def test_sanitize_keeps_length_and_everything_but_controls() -> None:
    text = "a\x00b\x1b[2Jc\r\nd\te\x85f\ud83dg é 😀 שלום\u200d"
    assert sanitize(text) == "a b [2Jc \nd\te f\ufffdg é 😀 שלום\u200d"
    assert len(sanitize(text)) == len(text)
    assert sanitize("plain") == "plain"


def test_halves_that_belong_together_are_joined_and_lone_ones_replaced() -> None:
    assert replace_surrogates({"a\udc00": ["\ud83d\ude00", 1]}) == {"a\ufffd": ["😀", 1]}
