"""What is asked of the peer and what comes back, with a stand-in for its worker."""

import sys
from pathlib import Path
from typing import Any

import pytest

from penchant_lab.peers.client import STAMP
from penchant_lab.speed.llmlingua import INSTALL, llmlingua

WORKER = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    answer = {"seconds": 1.5, "asked": request} if request["op"] == "time" else {}
    if request.get("long"):
        answer = {"error": "too long\\nby far"}
    print(json.dumps(answer), flush=True)
"""
PAYLOAD: dict[str, Any] = {"model": "m", "dtype": "float32", "threads": 1, "passages": ["a"], "long": False}


@pytest.fixture
def peers(tmp_path: Path) -> Path:
    folder = tmp_path / "llmlingua"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "peer.toml").write_text('about = "x"\nkind = "text"\n[methods.llmlingua]\nabout = "y"\n')
    (folder / "requirements.txt").write_text("llmlingua\n")
    (folder / ".venv" / STAMP).write_text("llmlingua\n")
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / "worker.py").write_text(WORKER)
    return tmp_path


def test_an_answer(peers: Path) -> None:
    assert llmlingua(PAYLOAD, peers) == {"seconds": 1.5, "asked": {"op": "time", **PAYLOAD}}


def test_a_failure_is_an_answer(peers: Path) -> None:
    answer = llmlingua({**PAYLOAD, "long": True}, peers)
    assert answer is not None
    assert list(answer) == ["failed"]
    assert "too long by far" in answer["failed"]


def test_not_installed(peers: Path, tmp_path: Path) -> None:
    (peers / "llmlingua" / ".venv" / STAMP).unlink()
    assert llmlingua(PAYLOAD, peers) is None
    (tmp_path / "none").mkdir()
    assert llmlingua(PAYLOAD, tmp_path / "none") is None
    assert INSTALL == "python -m penchant_lab.peers llmlingua"
