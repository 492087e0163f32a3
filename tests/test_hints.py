"""Commands in messages: all are made by `hints.command`, exist, have the options they are printed with, and run."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import penchant as package
import penchant_lab
from penchant import hints
from penchant.history.records import Record
from penchant.store import Store
from penchant.store.location import store_options
from tests.commands import REQUEST, Home, Invoke, all_commands, write_history

GROUP = ("model", "device", "dtype", "adapter", "trust_remote_code")
BEHIND = {
    "loaded.options": GROUP,
    "resources.loaded.options": GROUP,
    "name.options": GROUP,
    "model": GROUP,
    "{} if loaded is None else loaded.options": GROUP,
    "paths.options": ("user", "history", "store"),
    "store.options": ("store",),
    "opened.options": ("store",),
    "store_options(engine)": ("store",),
    "store_options(connection.engine)": ("store",),
}
"""What is unpacked into a call, and the options that it may hold."""


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for one in (package, penchant_lab):
        for path in sorted(Path(str(one.__file__)).parent.rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path, tree in sources():
        if "from penchant.hints import command" not in path.read_text(encoding="utf-8"):
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "command"
                and node.args
            ):
                yield f"{path.name}:{node.lineno}", node


CALLS = dict(calls())


def test_there_are_some() -> None:
    assert len(CALLS) >= 15


@pytest.mark.parametrize("where", CALLS)
def test_every_command_exists_and_takes_what_it_is_printed_with(where: str) -> None:
    """Parsed by the command line itself, with every option that the call may add; nothing is run."""
    call = CALLS[where]
    name = call.args[0]
    assert isinstance(name, ast.Constant)
    known = all_commands()[tuple(str(name.value).split())]
    kinds = {option: param for param in known.params for option in param.opts}
    wanted = [one.arg for one in call.keywords if one.arg is not None]
    for one in call.keywords:
        wanted += BEHIND[ast.unparse(one.value)] if one.arg is None else ()
    flags = {one: bool(getattr(kinds.get(f"--{one.replace('_', '-')}"), "is_flag", False)) for one in wanted}
    given = {name: True if flags[name] else "1" for name in wanted if name not in ("adapter", "history")}
    printed = hints.command(str(name.value), *["x" for _ in call.args[1:]], **given)
    words = shlex.split(printed.strip("`"))
    prefix = 1 + len(str(name.value).split())
    for option in (f"--{one.replace('_', '-')}" for one in wanted):
        assert option in kinds, (printed, option)
    known.make_context(str(name.value), words[prefix:])


def test_no_message_writes_a_command_by_itself() -> None:
    for path, tree in sources():
        if path.name == "hints.py":
            continue
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                assert "`penchant " not in node.value, f"{path}:{node.lineno}"


def hinted(text: str) -> list[str]:
    """The words of the first command in a text, without `penchant`."""
    found = re.search("`(penchant [^`]*)`", text)
    assert found, text
    return shlex.split(found[1])[1:]


def test_a_hint_carries_the_store(penchant: Invoke, home: Home, tmp_path: Path) -> None:
    place = tmp_path / "a store"
    missing = penchant("ask", "--user", "ann", "--request", "Who?", "--store", place).reason()
    assert penchant(*hinted(missing)).code == 0
    assert place.is_dir() and not home.store.exists()
    ran = penchant("ask", "--user", "nobody", "--request", "Who?", "--store", place)
    listed = penchant(*hinted(ran.reason()))
    assert listed.code == 0 and "1 of 1 users" in listed.out
    with Store(place) as store:
        store.add("it's me", [Record("one")])
    ran = penchant("chat", "--user", "it's me", "--name", "gone", "--resume", "--store", place, "--model", home.model)
    assert penchant(*hinted(ran.reason())).code == 0
    page = penchant("users", "--limit", "1", "--store", place)
    rest = penchant(*hinted(page.out))
    assert rest.code == 0 and "me" in rest.out


def test_a_hint_leaves_out_the_default_store(penchant: Invoke, home: Home) -> None:
    assert penchant("add", "Tea.", "--user", "ann").code == 0
    assert hinted(penchant("users", "show", "nobody").reason()) == ["users"]


def test_a_hint_carries_the_model_and_the_file(penchant: Invoke, home: Home, tmp_path: Path) -> None:
    (tmp_path / "own files").mkdir()
    history = write_history(tmp_path / "own files" / "history.jsonl")
    asked = ("ask", "--history", history, "--request", REQUEST, "--marker", "bm25", "--steer", "ascent")
    words = hinted(penchant(*asked, "--model", home.model, "--dtype", "float32").reason())
    expected = ["steer", "fit", "--history", str(history), "--method", "ascent", "--model", str(home.model)]
    assert words == [*expected, "--dtype", "float32"]
    for one in (home.cache / "calibrations").glob("*.json"):
        one.unlink()
    marked = ("mark", "--history", history, "--request", REQUEST, "--marker", "attention", "--model", home.model)
    words = hinted(penchant(*marked, "--device", "cpu").reason())
    assert words == ["heads", "discover", "--model", str(home.model), "--device", "cpu"]


def test_no_password_is_printed() -> None:
    class Engine:
        url = sa.make_url("postgresql+psycopg://ann:secret@host/penchant")

    assert store_options(Engine()) == {"store": "postgresql://ann:***@host/penchant"}  # type: ignore[arg-type]


def test_words_are_quoted() -> None:
    assert hints.command("users show", "it's", store="a b", list=True, other=None, off=False) == (
        "`penchant users show 'it'\"'\"'s' --store 'a b' --list`"
    )
    assert hints.command("users show", "-x", limit=1) == "`penchant users show --limit 1 -- -x`"
