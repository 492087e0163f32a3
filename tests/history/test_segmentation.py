"""Offsets are exact over any text; languages; long records."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penchant.errors import InputError
from penchant.history.records import History, Record
from penchant.history.segmentation import LONGEST, WHOLE, segment, segment_record

SPACES = [" ", "\n", "\r\n", "\n\n", "\u2028", "\x85", "\u3000", "\u00a0", "\x1c"]
PIECES = [". ", "! ", "\x00", "אבג. ", "\u202e", "😀", "👩\u200d🔬", "e\u0301", "。", "हि।"]
ODD = ["Dr. ", "z. B. ", '"', "(", "\ud800", "word " * 150, "x" * 1200]
AWKWARD = st.sampled_from([*SPACES, *PIECES, *ODD])
TEXT = st.lists(st.one_of(AWKWARD, st.text(max_size=30)), min_size=1, max_size=25).map("".join)


@given(text=TEXT, reply=st.one_of(st.none(), TEXT), unit=st.sampled_from(["auto", "sentence", "record"]))
@example(text='😀\u2028\x85[1]?"z. B.\x85B\x85.\n\n«', reply=None, unit="sentence")
def test_offsets_are_exact_and_nothing_but_space_is_left_out(text, reply, unit):
    if not text.strip() and not (reply or "").strip():
        return
    record = Record(text, id="r", reply=reply)
    pieces = segment_record(record, 7, unit)
    assert pieces
    end = 0
    for piece in pieces:
        assert record.body[piece.start : piece.end] == piece.text
        assert piece.text.strip() == piece.text != ""
        assert not record.body[end : piece.start].strip()
        assert piece.start >= end
        assert (piece.record, piece.record_id) == (7, "r")
        end = piece.end
    assert not record.body[end:].strip()
    if unit == "record":
        assert len(pieces) == 1
    elif len(record.body) > WHOLE:
        assert max(len(piece.text) for piece in pieces) <= LONGEST


@pytest.mark.parametrize(
    ("text", "meta", "expected"),
    [
        ("I saw Dr. Smith at 5 p.m. today. He was fine!", {}, ["I saw Dr. Smith at 5 p.m. today.", "He was fine!"]),
        ("Das ist am 3. Mai. Wir sind nicht da.", {}, ["Das ist am 3. Mai.", "Wir sind nicht da."]),
        ("La Sra. García llegó. ¿Qué tal?", {"lang": "es"}, ["La Sra. García llegó.", "¿Qué tal?"]),
        (
            "El perro de la Sra. García y una amiga. Muy bien.",
            {},
            ["El perro de la Sra. García y una amiga.", "Muy bien."],
        ),
        ("これは文です。次の文です！はい。", {}, ["これは文です。", "次の文です！", "はい。"]),
        ("你好。我是人！对吗？", {}, ["你好。", "我是人！", "对吗？"]),
        ("यह है। वह है।", {}, ["यह है।", "वह है।"]),
        ("هل أنت بخير؟ نعم.", {}, ["هل أنت بخير؟", "نعم."]),
        ("Он живёт в г. Москва. Да!", {}, ["Он живёт в г. Москва.", "Да!"]),
        ("שלום לך. מה שלומך?", {}, ["שלום לך.", "מה שלומך?"]),
        ("안녕하세요. 반갑습니다.", {}, ["안녕하세요.", "반갑습니다."]),
    ],
)
def test_sentences_of_several_languages(text, meta, expected):
    assert [piece.text for piece in segment_record(Record(text, meta=meta), 0, "sentence")] == expected


def test_auto_keeps_short_records_whole_and_cuts_long_ones():
    short = Record("One. Two. Three.", id="a")
    long = Record("A sentence of some length stands here. " * 20, id="b")
    pieces = segment(History([short, long]))
    assert [piece.text for piece in pieces if piece.record_id == "a"] == ["One. Two. Three."]
    assert len([piece for piece in pieces if piece.record_id == "b"]) == 20
    assert [piece.record for piece in pieces] == [0] + [1] * 20


def test_the_reply_starts_a_new_sentence():
    record = Record("an abstract without an end", reply="A title")
    assert [piece.text for piece in segment_record(record, 0, "sentence")] == ["an abstract without an end", "A title"]


def test_a_hundred_thousand_characters():
    for text in ("word " * 20_000, "x" * 100_000, "文" * 100_000, "A sentence. " * 8_400):
        pieces = segment_record(Record(text), 0)
        assert max(len(piece.text) for piece in pieces) <= LONGEST
        assert "".join(piece.text for piece in pieces).replace(" ", "") == text.replace(" ", "")


def test_a_cut_parts_no_character_from_its_marks():
    pieces = segment_record(Record("👩\u200d🔬" * 700), 0, "sentence")
    assert len(pieces) > 1
    assert all(piece.text.startswith("👩") and piece.text.endswith("🔬") for piece in pieces)


def test_unknown_unit():
    with pytest.raises(InputError, match="unknown segmentation unit 'word'"):
        segment(History([Record("a")]), "word")  # type: ignore[arg-type]


def test_a_panicking_splitter_falls_back_to_lines(monkeypatch):
    panic = type("PanicException", (BaseException,), {})

    def broken(language, text):
        raise panic("byte index")

    monkeypatch.setattr("penchant.history.segmentation.sentencex.get_sentence_boundaries", broken)
    assert [piece.text for piece in segment_record(Record("one. two\nthree"), 0, "sentence")] == ["one. two", "three"]

    def interrupted(language, text):
        raise KeyboardInterrupt

    monkeypatch.setattr("penchant.history.segmentation.sentencex.get_sentence_boundaries", interrupted)
    with pytest.raises(KeyboardInterrupt):
        segment_record(Record("one. two\nthree"), 0, "sentence")


SMALL = {
    "de": "hab heute z. b. mit dr. lee gesprochen. er meint, am 3. mai wäre gut. hast du da zeit? ich kann nur "
    "vormittags! die katze war wieder beim nachbarn. 4 leute haben sie gesehen. naja, sie kommt schon "
    "zurück... morgen fahr ich nach kiel. meine schwester holt mich ab. danach essen wir pizza. "
    "hoffentlich regnet es nicht.",
    "da": "jeg var hos tandlægen i dag. det gik fint. han sagde, at jeg skal komme igen til maj. har du tid i "
    "morgen? min søster kommer på besøg fra odense. vi skal spise pizza og se en film. katten er hos "
    "naboen igen! nøglen er der.",
    "fi": "kävin tänään hammaslääkärissä. kaikki meni hyvin. pitää tulla uudestaan toukokuussa. onko sinulla "
    "aikaa huomenna? siskoni tulee kylään turusta. syömme pizzaa ja katsomme elokuvan. kissa on taas "
    "naapurissa! avain on siellä.",
    "cs": "dnes jsem byl u zubaře. všechno dobře dopadlo. mám přijít zase v květnu. máš zítra čas? sestra "
    "přijede na návštěvu z brna. dáme si pizzu a podíváme se na film. kočka je zase u souseda! klíč je "
    "pod květináčem vedle dveří.",
    "sk": "dnes som bol u zubára. všetko dobre dopadlo. mám prísť znova v máji. máš zajtra čas? sestra príde na "
    "návštevu z košíc. dáme si pizzu a pozrieme si film. mačka je zase u suseda! kľúč je pod kvetináčom "
    "vedľa dverí.",
}  # fmt: skip


@pytest.mark.parametrize("language", SMALL)
def test_a_chat_in_small_letters_is_cut_into_sentences(language):
    body = SMALL[language]
    pieces = [piece.text for piece in segment_record(Record(body, meta={"lang": language}), 0, "sentence")]
    assert len(pieces) >= 7
    assert max(map(len, pieces)) <= 100
    assert " ".join(pieces) == body
    if language == "de":
        assert pieces[:2] == ["hab heute z. b. mit dr. lee gesprochen.", "er meint, am 3. mai wäre gut."]
        assert "4 leute haben sie gesehen." in pieces


def test_a_long_sentence_with_abbreviations_stays_whole():
    body = (
        "Wir waren gestern bei Dr. Brandt, der z. B. gesagt hat, dass es ca. drei Wochen dauert, usw., und danach wird "
        "er, d. h. ab Juli, wieder in der Praxis sein und alle anrufen, die noch warten und nichts gehört haben."
    )
    assert [piece.text for piece in segment_record(Record(body, meta={"lang": "de"}), 0, "sentence")] == [body]
