"""Wishes about what is kept: what counts as one, what it leaves of the turn, and where a text says what it names."""

import pytest

from penchant.conversation.retention import ForgetRequest, wish_in
from penchant.conversation.retention.languages import FIELDS, PHRASES, languages
from penchant.conversation.retention.mentions import answers_with, mentions, says_more
from penchant_lab.retention.__main__ import on_mentions, on_turns, rows

PORTO = ForgetRequest("statement", "I live in Porto")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Don't remember this, but I have diabetes. What can I eat?", "I have diabetes. What can I eat?"),
        ("I have diabetes. Please don't save this.", "I have diabetes."),
        ("Merk dir das nicht: Ich habe Diabetes.", "Ich habe Diabetes."),
    ],
)
def test_what_is_off_the_record_is_still_answered(text: str, rest: str) -> None:
    wish = wish_in(text)
    assert wish is not None and wish.off_record and not wish.forget and wish.lasting is None
    assert wish.rest == rest


@pytest.mark.parametrize(
    ("text", "lasting"),
    [
        ("Don't save anything in this chat.", True),
        ("Off the record.", True),
        ("From now on, this is off the record.", True),
        ("Ab jetzt bitte nichts mehr speichern.", True),
        ("À partir de maintenant, n'enregistre plus rien.", True),
        ("You can remember things again.", False),
    ],
)
def test_a_wish_for_the_whole_conversation(text: str, lasting: bool) -> None:
    wish = wish_in(text)
    assert wish is not None and wish.lasting is lasting and wish.rest == ""


@pytest.mark.parametrize(
    ("text", "wanted", "rest"),
    [
        ("Forget that I live in Porto, I live in Lisbon now.", ["I live in Porto"], "I live in Lisbon now."),
        ("Forget that I live in Porto, a city in Portugal.", ["I live in Porto, a city in Portugal"], ""),
        ("Please forget that I live in Porto and that I have a dog.", ["I live in Porto", "I have a dog"], ""),
        ("Hi! Delete my phone number from your memory, please.", ["my phone number"], "Hi!"),
        ("Vergiss bitte meine Adresse. Wie spät ist es?", ["meine Adresse"], "Wie spät ist es?"),
    ],
)
def test_what_is_to_be_forgotten(text: str, wanted: list[str], rest: str) -> None:
    wish = wish_in(text)
    assert wish is not None and [one.wanted for one in wish.forget] == wanted
    assert wish.rest == rest


@pytest.mark.parametrize(
    "text",
    [
        'My boss wrote: "Forget that I live in Porto."',
        "Translate into French: Don't remember this, but I have diabetes.",
        "Don't forget that I live in Porto.",
        "",
    ],
)
def test_no_wish(text: str) -> None:
    assert wish_in(text) is None


def test_the_tuning_halves() -> None:
    turns, said = on_turns(rows("turns", "tune")), on_mentions(rows("mentions", "tune"))
    assert turns["precision"] == turns["recall"] == 1.0
    assert said["precision"] == said["recall"] == 1.0


def test_a_mention_is_the_clause_or_the_sentence() -> None:
    def found(text: str) -> list[str]:
        return [text[slice(*span)] for span in mentions(text, PORTO, "en")]

    assert found("I'm Anna, I live in Porto and I'm allergic to nuts. Is it hot?") == ["I live in Porto"]
    assert found("Is it hot? I live in Porto.") == ["I live in Porto."]
    assert not found("My sister lives in Porto. I don't live in Porto.\nBen: I live in Porto.")
    assert not found("") and not mentions("I live in Porto.", PORTO, "xx")


def test_an_answer_that_repeats_it() -> None:
    answer = "Nice. Porto is on the Douro. You live in Porto, then."
    said = [answer[slice(*span)] for span in answers_with(answer, PORTO, "en", direct=False)]
    assert said == ["You live in Porto, then."]
    assert len(answers_with(answer, PORTO, "en", direct=True)) == 2
    assert says_more(answer, [(0, 5)], "en") and not says_more(answer, [(0, len(answer))], "en")


def test_every_language_file() -> None:
    assert list(languages()) == ["en", "de", "es", "fr", "it"]
    for language in languages().values():
        assert all(language.patterns[field] for field in PHRASES) and set(PHRASES) < set(FIELDS)
        assert all(pattern.search("") is None for field in PHRASES for pattern in language.patterns[field])
        assert language.replies.keys() == languages()["en"].replies.keys()
        for name in ("turns", "records", "instructions"):
            assert "3" in language.replies[name].format(n=3)
        assert "x" in language.replies["forgotten"].format(what="x")


def test_a_topic_is_found_behind_i_have_a() -> None:
    dog = ForgetRequest("topic", "my dog")
    text = "I have a dog. My dog barks. My brother has a dog. I have a cat. I walk the dog of a friend."
    assert [text[slice(*span)] for span in mentions(text, dog, "en")] == ["I have a dog.", "My dog barks."]


@pytest.mark.parametrize(
    "text",
    [
        "I don't save anything these days.",
        "I never save any of this.",
        "They don't keep a record of it.",
        "We don't remember this, but it was fun.",
        "I don't put this on my bread.",
        "I can't take this down alone.",
        "Je ne note rien dans ce cours.",
        "On ne garde rien.",
        "Elle n'enregistre plus rien.",
        "Ich speichere nichts in der Cloud.",
        "Ich kann mir das nicht merken.",
        "No guardo nada en la nube.",
        "Non salvo niente nel cloud.",
    ],
)
def test_what_people_do_themselves_is_no_wish(text: str) -> None:
    assert wish_in(text) is None


@pytest.mark.parametrize(
    "text", ["I don't want you to save this.", "Je ne veux pas que tu retiennes ça.", "Das bitte nicht merken."]
)
def test_a_wish_may_begin_with_who_has_it(text: str) -> None:
    wish = wish_in(text)
    assert wish is not None and wish.off_record


@pytest.mark.parametrize(
    "text",
    [
        "We talked off the record with the journalist.",
        "I spoke to the minister off the record last week.",
        "My boss told me off the record that I'd be promoted.",
        "The editor wants an off the record interview.",
        "She gave us an off the record comment.",
        "They had a conversation off the record.",
        "Our source has only talked off the record so far.",
        "He said it off the record, so the paper can't print it.",
        "The interview was off the record.",
        "Is it normal to talk to reporters off the record?",
        'What does "off the record" mean?',
        "Wir haben off the record mit dem Journalisten gesprochen.",
        "Ich habe mit ihr unter vier Augen gesprochen.",
        "Der Minister hat das off the record gesagt.",
        "Nous avons parlé off the record avec le journaliste.",
        "Le ministre l'a dit en off.",
        "Hablamos off the record con el periodista.",
        "Abbiamo parlato off the record con il giornalista.",
        "Der Chef wollte mich unter vier Augen sprechen.",
    ],
)
def test_how_people_spoke_is_no_wish(text: str) -> None:
    assert wish_in(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Off the record: I have diabetes.",
        "I'm telling you this off the record: I quit.",
        "This is off the record, but I'm pregnant.",
        "I'd like to tell you something off the record.",
        "Can we talk off the record?",
        "Let's talk off the record for a moment. I hate my job.",
        "I was fired. That's off the record.",
        "Off the record, we talked to the journalist.",
        "Unter vier Augen: ich habe gekündigt.",
        "Das ist off the record: ich bin schwanger.",
        "Ich sage dir das unter vier Augen: ich habe gekündigt.",
        "Entre nous, je déteste mon travail.",
        "En off : je déteste mon travail.",
        "Off the record, odio mi trabajo.",
        "Te lo digo off the record: odio mi trabajo.",
        "Off the record: odio il mio lavoro.",
        "I told you off the record that I'm ill.",
        "Don't save this: we talked off the record with the journalist.",
    ],
)
def test_what_is_said_here_is_off_the_record(text: str) -> None:
    wish = wish_in(text)
    assert wish is not None and wish.off_record
