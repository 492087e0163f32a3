"""The client against real processes: small workers written for the run, in environments that are this Python."""

import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from penchant.errors import InputError, ModelError
from penchant_lab.peers import client
from penchant_lab.peers.__main__ import main
from penchant_lab.peers.client import STAMP, Peer, PeerFolder, find_peers

PEER_TOML = (
    'about = "A peer for tests."\nkind = "text"\n[methods.{name}]\nabout = "Repeats."\noptions = {{ twice = true }}\n'
)
WORKER = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    op = request.pop("op")
    if op == "end":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(3)
    if op == "sleep":
        time.sleep(request["seconds"])
    if op == "nonsense":
        print("not a document", flush=True)
        continue
    answer = {"error": "ValueError: a bad passage"} if op == "fail" else {"op": op, "pid": os.getpid(), **request}
    if op == "environment":
        answer = {"threads": os.environ["OMP_NUM_THREADS"], "path": os.environ.get("PYTHONPATH")}
    print(json.dumps(answer), flush=True)
"""


def write_peer(folder: Path, name: str = "echo", worker: str = WORKER, made: bool = True) -> PeerFolder:
    """A peer whose environment is this Python."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "peer.toml").write_text(PEER_TOML.format(name=name), encoding="utf-8")
    (path / "requirements.txt").write_text("nothing==1.0\n", encoding="utf-8")
    (path / "worker.py").write_text(textwrap.dedent(worker), encoding="utf-8")
    peer = find_peers(folder)[name]
    if made:
        (path / ".venv").mkdir()
        make_environment(peer)
    return peer


def make_environment(peer: PeerFolder) -> None:
    """This Python, where the peer's is looked for."""
    peer.python.parent.mkdir(parents=True)
    peer.python.symlink_to(sys.executable)
    (peer.environment / STAMP).write_bytes((peer.path / "requirements.txt").read_bytes())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_environment_lies_in_the_data_folder_unless_one_is_beside_the_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "data_folder", lambda: tmp_path / "data")
    monkeypatch.setenv("PENCHANT_PEERS", str(tmp_path / "adapters"))
    peer = write_peer(tmp_path / "adapters", made=False)
    assert peer.environment == tmp_path / "data" / "peers" / "echo"
    with pytest.raises(ModelError, match="no environment yet"):
        peer.check()
    make_environment(peer)
    with Peer(peer) as worker:
        assert worker.ask("say")["op"] == "say"
    assert main(["echo"]) == 0  # nothing is made where the environment fits
    assert capsys.readouterr().out == f"echo: is already in {peer.environment}\n"
    assert not (peer.path / ".venv").exists()

    (peer.path / ".venv").mkdir()
    assert peer.environment == peer.path / ".venv"


def test_what_peer_toml_says_is_read(tmp_path: Path) -> None:
    peer = write_peer(tmp_path)
    assert (peer.name, peer.about, peer.kind) == ("echo", "A peer for tests.", "text")
    assert peer.methods["echo"].options == {"twice": True}
    assert not peer.methods["echo"].aware


def test_peers_are_looked_for_where_the_environment_says_else_in_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENCHANT_PEERS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert list(find_peers()) == ["kvpress", "llmlingua"]
    write_peer(tmp_path / "elsewhere", "there")

    monkeypatch.setenv("PENCHANT_PEERS", str(tmp_path / "elsewhere"))
    assert list(find_peers()) == ["there"]
    write_peer(tmp_path / "third", "here")
    assert list(find_peers(tmp_path / "third")) == ["here"]


def test_a_named_folder_that_is_not_there_and_a_broken_description_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .*missing"):
        find_peers(tmp_path / "missing")
    toml = write_peer(tmp_path).path / "peer.toml"
    for text in ("kind = ", 'about = "x"\nkind = "text"\n', toml.read_text("utf-8").replace('"text"', '"sound"')):
        toml.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"echo/peer\.toml: .*expected"):
            find_peers(tmp_path)


def test_one_worker_answers_one_request_after_another_and_is_gone_at_the_end(tmp_path: Path) -> None:
    with Peer(write_peer(tmp_path), {"model": "m", "threads": 3}) as peer:
        assert not peer.running  # until it is asked
        first = peer.ask("say", text="Zürich\n\u2028")
        assert (first["op"], first["text"]) == ("say", "Zürich\n\u2028")
        assert peer.loaded["model"] == "m"
        assert peer.ask("say", long="x" * 300_000)["pid"] == first["pid"]
        assert peer.ask("environment")["threads"] == "3"
        assert alive(first["pid"])
    assert not peer.running
    assert not alive(first["pid"])


def test_the_worker_sees_no_packages_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Peer(write_peer(tmp_path)) as peer:
        assert peer.ask("environment")["path"] is None


def test_a_missing_and_an_outdated_environment_name_the_command(tmp_path: Path) -> None:
    missing = write_peer(tmp_path, "new", made=False)
    with pytest.raises(ModelError, match=r"new has no environment yet: run `python -m penchant_lab\.peers new`"):
        Peer(missing).ask("say")
    old = write_peer(tmp_path, "old")
    (old.path / "requirements.txt").write_text("nothing==2.0\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"old have changed: run `python -m penchant_lab\.peers old` again"):
        Peer(old).ask("say")
    (missing.path / ".venv").mkdir()
    (missing.path / ".venv" / STAMP).write_bytes((missing.path / "requirements.txt").read_bytes())
    with pytest.raises(ModelError, match="new can't be started"):
        Peer(missing).ask("say")


def test_the_workers_own_error_is_told_and_the_worker_goes_on(tmp_path: Path) -> None:
    with Peer(write_peer(tmp_path)) as peer:
        pid = peer.ask("say")["pid"]
        with pytest.raises(ModelError, match="echo failed at 'fail': ValueError: a bad passage"):
            peer.ask("fail")
        assert peer.ask("say")["pid"] == pid


def test_a_worker_that_dies_is_told_by_its_last_words_and_started_anew(tmp_path: Path) -> None:
    with Peer(write_peer(tmp_path), {"model": "m"}) as peer:
        pid = peer.ask("say")["pid"]
        with pytest.raises(ModelError, match=r"echo ended at 'end' \(exit 3\): the last words"):
            peer.ask("end")
        again = peer.ask("say")
        assert again["pid"] != pid
        # While it is asked: a worker whose end was noticed before is simply started anew.
        threading.Timer(0.5, os.kill, (again["pid"], signal.SIGKILL)).start()
        with pytest.raises(ModelError, match="killed, most likely for its memory"):
            peer.ask("sleep", seconds=60)
        assert peer.ask("say")["op"] == "say"


def test_a_worker_that_never_starts_is_told(tmp_path: Path) -> None:
    peer = Peer(write_peer(tmp_path, worker="import a_module_that_is_not_there"))
    with pytest.raises(ModelError, match=r"exit 1\): ModuleNotFoundError: .*a_module_that_is_not_there"):
        peer.ask("say")
    assert not peer.running


@pytest.mark.slow
def test_no_answer_in_time_ends_the_worker(tmp_path: Path) -> None:
    with Peer(write_peer(tmp_path), timeout=2) as peer:
        pid = peer.ask("say")["pid"]
        began = time.perf_counter()
        with pytest.raises(ModelError, match="gave no answer to 'sleep' in 2 s"):
            peer.ask("sleep", seconds=600)
        assert time.perf_counter() - began < 30
        assert not alive(pid)
        assert peer.ask("say")["op"] == "say"  # and not the answer to what came before


def test_an_answer_that_is_no_document_is_told(tmp_path: Path) -> None:
    with Peer(write_peer(tmp_path)) as peer:
        pid = peer.ask("say")["pid"]
        with pytest.raises(ModelError, match="answered 'not a document' to 'nonsense'"):
            peer.ask("nonsense")
        assert not alive(pid)


def test_a_worker_is_gone_with_the_object_that_started_it(tmp_path: Path) -> None:
    peer = Peer(write_peer(tmp_path))
    pid = peer.ask("say")["pid"]
    del peer
    assert not alive(pid)
