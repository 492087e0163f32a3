import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from penchant_lab.bench.provenance import provenance, revision


def _git(folder: Path, *words: str) -> str:
    named = ["-c", "user.name=x", "-c", "user.email=x@x", *words]
    return subprocess.run(["git", *named], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_revision_and_changes(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("one")
    _git(tmp_path, "add", "a.txt")
    _git(tmp_path, "commit", "-qm", "first")
    head = _git(tmp_path, "rev-parse", "HEAD")
    assert revision(tmp_path) == {"revision": head, "changed": False}
    (tmp_path / "new.txt").write_text("not tracked")
    assert revision(tmp_path)["changed"] is False
    (tmp_path / "a.txt").write_text("two")
    assert revision(tmp_path) == {"revision": head, "changed": True}


def test_outside_of_a_repository(tmp_path: Path) -> None:
    assert revision(tmp_path) == {"revision": None, "changed": None}


def test_what_is_said_of_the_machine(tmp_path: Path) -> None:
    found = provenance(tmp_path)
    assert found["versions"]["torch"] == version("torch")
    assert found["versions"]["python"] == platform.python_version()
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["torch_threads"] >= 1
    written = json.dumps(found)
    assert platform.node() not in found["machine"].values()
    assert str(Path.home()) not in written
    assert str(tmp_path) not in written
