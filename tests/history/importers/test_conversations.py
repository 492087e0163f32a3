"""LaMP, LoCoMo and ChatGPT."""

import json
import zipfile
from datetime import UTC, datetime

import pytest

from penchant.errors import InputError
from penchant.history.importers import read_format, reading
from penchant.history.importers.locomo import parse_session_time
from penchant.history.records import Record

LAMP = {
    "LaMP_1": (
        "For an author who has written the paper with the title 'X', which reference is related?",
        {"title": "T", "abstract": "A"},
        Record("T\nA", id="1", kind="paper", meta={"task": "LaMP_1"}),
    ),
    "LaMP_2": (
        "Which tag does this movie relate to?",
        {"description": "A film", "tag": "comedy"},
        Record("A film", id="1", label="comedy", kind="film", meta={"task": "LaMP_2"}),
    ),
    "LaMP_2N": (
        "Which category does this article relate to?",
        {"text": "Body", "title": "Head", "category": "sports"},
        Record("Head\nBody", id="1", label="sports", kind="article", meta={"task": "LaMP_2N"}),
    ),
    "LaMP_3": (
        "What is the score of the following review on a scale of 1 to 5?",
        {"text": "Fine", "score": "4"},
        Record("Fine", id="1", label=4.0, kind="review", meta={"task": "LaMP_3"}),
    ),
    "LaMP_4": (
        "Generate a headline for the following article: x",
        {"text": "Body", "title": "Head"},
        Record("Body", id="1", reply="Head", kind="article", meta={"task": "LaMP_4"}),
    ),
    "LaMP_5": (
        "Generate a title for the following abstract of a paper: x",
        {"title": "T", "abstract": "A"},
        Record("A", id="1", reply="T", kind="paper", meta={"task": "LaMP_5"}),
    ),
    "LaMP_6": (
        "Generate a subject for the following email: x",
        {"text": "Mail", "title": "Subject"},
        Record("Mail", id="1", reply="Subject", kind="email", meta={"task": "LaMP_6"}),
    ),
    "LaMP_7": (
        "Paraphrase the following tweet without any explanation: x",
        {"text": "tweet"},
        Record("tweet", id="1", kind="tweet", meta={"task": "LaMP_7"}),
    ),
}


def lamp(folder, sample, outputs=None, prefix=""):
    folder.mkdir(exist_ok=True)
    (folder / f"{prefix}questions.json").write_text(json.dumps([sample]))
    if outputs:
        (folder / f"{prefix}outputs.json").write_text(json.dumps({"task": outputs, "golds": []}))


@pytest.mark.parametrize("task", LAMP)
def test_lamp_by_looks_by_outputs_and_by_name(tmp_path, task):
    question, item, expected = LAMP[task]
    sample = {"id": "310", "input": question, "profile": [{"id": "1", **item}]}
    lamp(tmp_path / "looks", sample)
    assert list(read_format("lamp", tmp_path / "looks")) == [("310", expected)]
    lamp(tmp_path / "outputs", {**sample, "input": "?", "user_id": 7}, outputs=task, prefix="dev_")
    assert list(read_format("lamp", tmp_path / "outputs")) == [("7", expected)]
    lamp(tmp_path / "named", {**sample, "input": "?"})
    assert list(read_format("lamp", tmp_path / "named" / "questions.json", task=task.replace("_", "-"))) == [
        ("310", expected)
    ]


def test_lamp_times_filters_and_errors(tmp_path):
    items = [{"id": "1", "text": "a", "date": "2019-05-12"}, {"id": "2", "text": " "}]
    lamp(tmp_path, {"id": "9", "input": "Paraphrase the following tweet", "profile": items})
    ((_, only),) = read_format("lamp", tmp_path)
    assert only.when == datetime(2019, 5, 12, tzinfo=UTC)
    assert list(read_format("lamp", tmp_path, user="8")) == []
    with pytest.raises(InputError, match="unknown LaMP task '8': expected one of 1, 2, 2N, 3"):
        list(read_format("lamp", tmp_path, task="8"))
    with pytest.raises(InputError, match=r"sample 1: a profile item doesn't fit LaMP-3 \(no 'score'\)"):
        list(read_format("lamp", tmp_path, task="3"))
    lamp(tmp_path, {"id": "9", "input": "?", "profile": [{"id": "1", "text": "a", "title": "b"}]})
    with pytest.raises(InputError, match="can't tell the LaMP task"):
        list(read_format("lamp", tmp_path))
    lamp(tmp_path, {"question": "?"})
    with pytest.raises(InputError, match="is this a LaMP questions file"):
        list(read_format("lamp", tmp_path))
    lamp(tmp_path, {}, prefix="dev_")
    with pytest.raises(InputError, match=r"holds dev_questions\.json, questions\.json: expected one"):
        list(read_format("lamp", tmp_path))


@pytest.mark.data
def test_lamp_5_layout_of_real_papers(shared_data):
    got = list(read_format("lamp", shared_data / "acl_titles"))
    questions = json.loads((shared_data / "acl_titles" / "questions.json").read_text(encoding="utf-8"))
    assert len({user for user, _ in got}) == len(questions) == 114
    assert len(got) == sum(len(sample["profile"]) for sample in questions)
    first = questions[0]["profile"][0]
    assert (got[0][1].text, got[0][1].reply) == (first["abstract"], first["title"])


def turn(number, text, **more):
    return {"speaker": "Ann", "dia_id": f"D1:{number}", "text": text, **more}


def test_locomo(tmp_path):
    conversation = {
        "speaker_a": "Ann",
        "session_1_date_time": "12:05 am on 8 May, 2023",
        "session_1": [turn(1, "Hi!"), turn(2, "Look", blip_caption="a photo of a dog", img_url=["x"])],
        "session_2_date_time": "1:00 pm on 9 May, 2023",
        "session_10_date_time": "no time",
        "session_10": [turn(3, "Bye")],
    }
    path = tmp_path / "locomo.json"
    path.write_text(
        json.dumps([{"sample_id": "c1", "conversation": conversation}, {"sample_id": "c2", "conversation": {}}])
    )
    (owner, first), (_, second), (_, third) = read_format("locomo", tmp_path)
    start = datetime(2023, 5, 8, 0, 5, tzinfo=UTC)
    assert owner == "c1"
    assert first == Record("Ann: Hi!", id="D1:1", when=start, kind="turn", meta={"session": 1, "speaker": "Ann"})
    assert (second.text, second.when) == ("Ann: Look [shares a photo: a photo of a dog]", start.replace(second=1))
    assert second.meta["caption"] == "a photo of a dog"
    assert (third.when, third.meta["session"]) == (None, 10)
    assert list(read_format("locomo", path, user="c2")) == []
    path.write_text('[{"sample_id": "c1"}]')
    with pytest.raises(InputError, match="no 'conversation'; expected a LoCoMo file"):
        list(read_format("locomo", path))
    conversation["session_1"] = [{"speaker": "Ann"}]
    path.write_text(json.dumps([{"conversation": conversation}]))
    with pytest.raises(InputError, match="conversation-0 session 1 turn 1: no 'text'"):
        list(read_format("locomo", path))


def test_session_times():
    assert parse_session_time("1:56 pm on 8 May, 2023") == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert parse_session_time("12:30 pm on 1 January, 2022") == datetime(2022, 1, 1, 12, 30, tzinfo=UTC)
    assert parse_session_time("1:56 pm on 31 February, 2023") is None
    assert parse_session_time("1:56 pm on 8 Floreal, 2023") is None


@pytest.mark.data
def test_locomo_evidence_points_at_records(shared_data):
    got = list(read_format("locomo", shared_data / "locomo"))
    samples = json.loads((shared_data / "locomo" / "locomo.json").read_text(encoding="utf-8"))
    assert len({user for user, _ in got}) == len(samples)
    assert all(record.when for _, record in got)
    ids = {(user, record.id) for user, record in got}
    assert len(ids) == len(got)
    evidence = [(s["sample_id"], turn) for s in samples for qa in s["qa"] for turn in qa.get("evidence", [])]
    assert sum(pair in ids for pair in evidence) / len(evidence) > 0.98  # a few are misspelt in the data


def node(name, parent, role, text, time=None, **content):
    message = {"id": f"m-{name}", "author": {"role": role}, "create_time": time}
    message["content"] = {"content_type": "text", "parts": [text], **content}
    return {name: {"id": name, "message": message, "parent": parent, "children": []}}


def chat():
    mapping = {"root": {"id": "root", "message": None, "parent": None, "children": ["a"]}}
    mapping |= node("sys", "root", "system", "")
    mapping |= node("ctx", "sys", "user", "", content_type="user_editable_context", user_profile="x")
    mapping |= node("a", "ctx", "user", "Where to eat?", 1714550400.25)
    mapping |= node("b1", "a", "assistant", "Nowhere")
    mapping |= node("b2", "a", "assistant", "search()", recipient="x")
    mapping["b2"]["message"]["recipient"] = "browser"
    mapping |= node("tool", "b2", "tool", "results")
    mapping |= node("b3", "tool", "assistant", "At Gino's.")
    mapping |= node("c", "b3", "user", "", parts=[{"content_type": "image_asset_pointer"}, "And this \ud83d?"])
    mapping["c"]["message"]["content"]["content_type"] = "multimodal_text"
    mapping |= node("d", "c", "user", "", parts=[{"content_type": "image_asset_pointer"}])
    return {"title": "Food", "create_time": 1714550000.0, "current_node": "d", "mapping": mapping}


def expected():
    meta = {"conversation": "Food", "answer": "At Gino's."}
    when = datetime(2024, 5, 1, 8, 0, 0, 250_000, tzinfo=UTC)
    first = Record("Where to eat?", id="m-a", when=when, kind="chat", meta=meta)
    when = datetime(2024, 5, 1, 7, 53, 20, tzinfo=UTC)
    second = Record("And this \ufffd?", id="m-c", when=when, kind="chat", meta={"conversation": "Food"})
    return [("me", first), ("me", second)]


def test_chatgpt_file_folder_and_zip(tmp_path):
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([chat()]))
    assert list(read_format("chatgpt", path, user="me")) == expected()
    assert list(read_format("chatgpt", tmp_path, user="me")) == expected()
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.write(path, "conversations.json")
    assert list(read_format("chatgpt", tmp_path / "export.zip", user="me")) == expected()


def test_chatgpt_without_a_current_node_takes_the_newest_leaf(tmp_path):
    path = tmp_path / "conversations.json"
    conversation = chat()
    del conversation["current_node"]
    for name, time in (("b1", 5.0), ("d", 9.0)):
        conversation["mapping"][name]["message"]["create_time"] = time
    path.write_text(json.dumps([conversation]))
    got = [record.text for _, record in read_format("chatgpt", path, user="me")]
    assert got == ["Where to eat?", "And this \ufffd?"]


def test_chatgpt_what_is_wrong(tmp_path):
    path = tmp_path / "conversations.json"
    for content, message in (
        ('{"a": 1}', "is no JSON array"),
        ('[{"title": "x"}]', "conversation 1 of conversations.json has no 'mapping'"),
        ('[{"mapping": {', "item 1: invalid JSON .*damaged or cut off"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            list(read_format("chatgpt", path, user="me"))
    with pytest.raises(InputError, match=r"holds no conversations\.json"):
        list(read_format("chatgpt", tmp_path.parent, user="me"))
    (tmp_path / "x.zip").write_bytes(b"PK no")
    with pytest.raises(InputError, match="expected the zip of a ChatGPT export"):
        list(read_format("chatgpt", tmp_path / "x.zip", user="me"))


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
def test_json_arrays_are_streamed_whatever_the_chunks(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(reading, "_CHUNK", chunk)
    items = [{"a": [1, {"b": "x] }"}]}, {}, {"long": "y" * 500, "ü": "\\"}]
    path = tmp_path / "x.json"
    for indent in (None, 1):
        path.write_text(
            "\ufeff " + json.dumps(items, indent=indent) if chunk > 1 else json.dumps(items), encoding="utf-8"
        )
        assert list(reading.json_items(path)) == items
    path.write_text("[]")
    assert list(reading.json_items(path)) == []
