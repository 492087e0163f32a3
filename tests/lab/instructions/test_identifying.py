"""The bench of the language identifier."""

from penchant_lab.instructions.identifying import LENGTHS, measure, sentences, table


def test_sentences_are_of_six_languages_and_hold_no_quotation() -> None:
    some = sentences()
    assert {language for language, _, _ in some} == {"en", "de", "fr", "es", "it", "nl"}
    assert len({(language, text) for language, text, _ in some}) == len(some) > 1500
    assert not any(set(text) & set('"«“') for _, text, _ in some)


def test_a_sentence_of_three_words_or_more_is_hardly_ever_taken_for_another_language() -> None:
    row = measure("penchant")
    for length in ("3-5", "6-8", "9+"):
        assert row[length]["right"] >= 0.95
        assert row[length]["told"] - row[length]["right"] < 0.02
    shown = table({"penchant": row}).splitlines()
    assert len(shown) == 3 and all(key in shown[0] for key in LENGTHS)
