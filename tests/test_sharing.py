"""Private records never reach an endpoint on another machine, whatever is asked of the personalizer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penchant import Endpoint, Record, Store
from penchant.errors import InputError
from penchant.history.jsonl import parse_records, to_line
from penchant.history.records import History
from penchant.sharing import Sharing, Views, is_private
from tests import openai_server
from tests.openai_server import Served, stream
from tests.test_personalizer import personalizer_of

CANARY = "canary-private-5"
RECORDS = [
    Record("The dentist is Dr. Voss on Elm Street.", id="a", kind="said"),
    Record(f"The dentist on Elm Street knows {CANARY}.", id="b", meta={"private": True}, kind="said"),
    Record("I like green tea.", id="c"),
]
QUERY = "What does the dentist on Elm Street know?"


@pytest.fixture
def served() -> Iterator[Served]:
    with openai_server.serving(lambda body: stream("Yes.")) as made:
        yield made


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_private_records_reach_no_other_machine(served: Served, tmp_path: Path, host: str) -> None:
    url = served.base_url.replace("127.0.0.1", host)  # both arrive here, but only the second is loopback by its name
    with Store(tmp_path / "store") as store:
        store.add("anna", RECORDS)
        with personalizer_of(store, endpoint=Endpoint(url, "m-1", api_key="")) as personalizer:
            personalizer.ask("anna", QUERY, budget=150, max_tokens=5)
            personalizer.ask("anna", QUERY, knowledge="full", max_tokens=5)
            personalizer.ask(History(RECORDS), QUERY, budget=150, max_tokens=5)
            personalizer.ask_many([("anna", QUERY)], budget=150, max_tokens=5)
            talk = personalizer.conversation("anna", budget=480, notes=0.6)
            talk.say(QUERY, max_tokens=5)
        sent = [str(body) for body in served.bodies]
        assert all("Dr. Voss" in body for body in sent)
        assert [CANARY in body for body in sent] == [host == "127.0.0.1"] * len(sent)
        local = personalizer_of(store)
        assert CANARY in local.compress("anna", QUERY, 150).text


def test_views_have_an_index_in_the_folder_of_their_user(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add("anna", RECORDS)
        given = {"compressor": "extractive", "endpoint": Endpoint("http://192.0.2.1/v1", "m-1", api_key="")}
        for made in (personalizer_of(store), personalizer_of(store, **given)):
            made.compress("anna", QUERY, 150)
        folder = store.index_dir("anna")
        assert [path.name for path in folder.iterdir() if path.name.startswith("shared-")]
        store.forget_record("anna", "a")
        assert not folder.exists()
        with pytest.raises(InputError, match="empty"):
            store.forget_record("anna", "c")
            made.compress("anna", QUERY, 150)
        store.forget("anna")


def test_rules_and_marks() -> None:
    assert Sharing.parse("all,-tag:x").allows(Record("a", meta={"tags": "y"}))
    assert not Sharing.parse("all,-tag:x").allows(Record("a", meta={"tags": ["y", "x"]}))
    assert Sharing.parse("label:5.0").allows(Record("a", label=5.0))
    assert is_private(Record("a", meta={"private": "false"}))  # whatever it means, it doesn't leave
    assert not is_private(Record("a", meta={"private": False}))
    (record,) = parse_records('{"text": "a", "private": true, "meta": {"k": 1}}')
    assert record.meta == {"k": 1, "private": True}
    assert parse_records(to_line(record)) == [record]
    views, history = Views(), History([record, Record("b")], "anna")
    assert [one.text for one in views.of(history, Sharing())] == ["b"]
    assert views.of(history, Sharing()) is views.of(history, Sharing())
    assert views.of(history, Sharing(private=True)) is history
