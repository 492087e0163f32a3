import pytest

from penchant.errors import InputError
from penchant.text.terms import Terms, language_of, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The CAT's 2nd hat_box!", ["the", "cat", "s", "2nd", "hat", "box"]),
        ("Ｆｕｌｌ width ﬁne", ["full", "width", "fine"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("我喜欢猫 ok", ["我喜", "喜欢", "欢猫", "ok"]),
        ("猫", ["猫"]),
        ("tea茶茶茶x", ["tea", "茶茶", "茶茶", "x"]),
        ("\x00 🎉 …", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I have been to the mountains with my family and we did not want to leave"),
        ("de", "Ich war mit meiner Familie in den Bergen und wir wollten nicht mehr nach Hause"),
        ("fr", "Je suis allé à la montagne avec ma famille et nous ne voulions pas rentrer"),
        ("es", "Fui a la montaña con mi familia y no queríamos volver a la ciudad por el calor"),
        ("ru", "Я был в горах со своей семьёй, и мы не хотели возвращаться домой"),
        (None, "我和家人去了山里 我们不想回家"),
        (None, ""),
    ],
)
def test_only_a_language_with_stop_words_is_told(language: str | None, text: str) -> None:
    assert language_of(text) == language


def test_terms_are_stems_without_stop_words() -> None:
    assert Terms("en")(split_words("I don't like hikes, but he was hiking")) == ["like", "hike", "hike"]
    assert Terms("de")(split_words("die Häuser und das Haus")) == ["haus", "haus"]
    assert Terms(None)(["the", "hikes"]) == ["the", "hikes"]


def test_an_unknown_language_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"'xx'.*expected one of en, de"):
        Terms("xx")


def test_the_fast_path_for_ascii_follows_the_same_rule() -> None:
    text = "".join(map(chr, range(128))) + " It's 4x_y-Z."
    assert split_words(text) == split_words(text + " é")[:-1]
