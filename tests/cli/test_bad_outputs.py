"""Files and folders that can't be written: one line that names the path, before anything long begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import REQUEST, Invoke, all_commands, write_history

NONE = ("--model", "{folder}/no model")
"""A model that can't be loaded: had the work begun, the error would be another."""
OUTPUTS = {
    ("mark", "--html"): ("--history", "{history}", REQUEST, *NONE),
    ("demo", "--html"): NONE,
    ("users export", "--out"): ("ann",),
    ("steer fit", "--plot"): ("--history", "{history}", *NONE),
    ("steer export", "--out"): ("--history", "{history}", "--request", REQUEST, "--format", "safetensors", *NONE),
    ("heads discover", "--out"): NONE,
    ("heads discover", "--plot"): NONE,
    **{
        (f"bench {kind}", "--out"): ("--task", "own", "--data", "{history}", *NONE)
        for kind in ("mark", "compress", "title", "rating", "preference", "steer", "memory")
    },
    ("bench ablate", "--out"): ("--data", "{history}", *NONE),
    ("bench speed", "--out"): NONE,
}
FILES = {one: rest for one, rest in OUTPUTS.items() if one[0].partition(" ")[0] != "bench"}
BAD_FILES = {
    "missing folder": "{folder}/none/x.svg",
    "folder": "{folder}/dir.svg",
    "file as folder": "{folder}/file/x.svg",
    "no file system": "/proc/x.svg",
    "too long": "{folder}/" + "x" * 300 + ".svg",
}
BAD_FOLDERS = {"file": "{folder}/file", "file as folder": "{folder}/file/x", "no file system": "/proc/x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_history(tmp_path / "history.jsonl")
    (tmp_path / "file").write_text("kept")
    (tmp_path / "dir.svg").mkdir()
    return tmp_path


def test_every_option_for_an_output_is_here() -> None:
    """`--data`, `--history` and the like are read; `OUTPUTS` has all the others that take a file or a folder."""
    read = {"--history", "--data", "--adapter", "--steer-file", "--system-file", "--calibration", "--peers"}
    written = {
        (" ".join(words), option)
        for words, command in all_commands().items()
        for param in command.params
        for option in param.opts
        if option.startswith("--") and getattr(param, "metavar", "") in ("FILE", "DIR", "PATH")
    }
    assert {one for one in written if one[1] not in read | {"--store"}} == set(OUTPUTS)


@pytest.mark.parametrize("bad", [pytest.param(path, id=name) for name, path in BAD_FILES.items()])
@pytest.mark.parametrize(("command", "option"), FILES)
def test_files(penchant: Invoke, folder: Path, command: str, option: str, bad: str) -> None:
    refused(penchant, folder, command, option, bad)


@pytest.mark.parametrize("bad", [pytest.param(path, id=name) for name, path in BAD_FOLDERS.items()])
@pytest.mark.parametrize(("command", "option"), [one for one in OUTPUTS if one not in FILES])
def test_folders(penchant: Invoke, folder: Path, command: str, option: str, bad: str) -> None:
    refused(penchant, folder, command, option, bad)


def refused(penchant: Invoke, folder: Path, command: str, option: str, bad: str) -> None:
    path = bad.format(folder=folder)
    before = sorted(folder.rglob("*"))
    filled = [
        word.format(folder=folder, history=folder / "history.jsonl", model="{model}")
        for word in OUTPUTS[command, option]
    ]
    reason = penchant(*command.split(), *filled, option, path).reason()
    assert path in reason
    assert "can't write" in reason
    assert sorted(folder.rglob("*")) == before
    assert (folder / "file").read_text() == "kept"


def test_folders_in_the_environment(penchant: Invoke, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibration goes into the cache, and a record into the store: neither can be done without."""
    monkeypatch.setenv("PENCHANT_CACHE", f"{folder}/file/cache")
    assert f"can't write {folder}/file/cache" in penchant("heads", "discover", "--model", "{model}").reason()
    monkeypatch.setenv("PENCHANT_STORE", f"{folder}/file/store")
    assert f"the store {folder}/file/store can't be opened" in penchant("add", "Tea.", "--user", "ann").reason()
