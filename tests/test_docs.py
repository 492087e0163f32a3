"""The documentation does what it says: the code blocks of the README and of docs/ run, and its links lead somewhere.

Blocks of a page run in order, in one folder that stands for the repository's root (`src` is there), with a store and
indexes of their own. `python` blocks share their names. Of `sh` and `console` blocks the `penchant` lines run; in a
`console` block every other line must stand in the output ("…" stands for anything). A block of another language with
title="FILE" is written to that file. A block behind `<!-- not-run: reason -->` isn't run, but its command lines must
still be ones that the command line takes.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import typer

from penchant.cli.main import app
from penchant.cli.output import run as run_app
from penchant.history.importers import IMPORTERS
from penchant.index.encode import EncodedRecord, Encoder
from penchant.inference.generation import generate_stream
from penchant.marking.dense import Embeddings
from penchant.models import loading
from penchant.models.cache import models_directory
from penchant.steering.methods.likelihood_gradient import LIKELIHOOD_GRADIENT
from penchant.steering.methods.registry import VECTOR_METHODS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = {"sh", "console"}
_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_SKIP = re.compile(r"<!-- not-run: (\S.*) -->")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    title: str | None
    text: str
    skipped: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced code blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at, before = 0, ""
    while at < len(lines):
        opened = _FENCE.match(lines[at])
        if not opened:
            before = lines[at].strip() or before
            at += 1
            continue
        _, ticks, info = opened.groups()
        end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == ticks)
        title = re.search(r'title="([^"]+)"', info)
        text = dedent("\n".join(lines[at + 1 : end])) + "\n"
        language = (info.split() or [""])[0]
        yield Block(page, at + 1, language, title[1] if title else None, text, bool(_SKIP.fullmatch(before)))
        before, at = "", end + 1


def commands(block: Block) -> Iterator[tuple[list[str], list[str]]]:
    """Each command line of a block, as words, with the lines of output that are shown under it."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "console" and not line.startswith("$ "):
            found[-1][1].append(line)
        elif words := shlex.split(line.removeprefix("$ "), comments=True):
            found.append((words, []))
    return iter(found)


ALL = [block for page in PAGES for block in blocks(page)]
RUNNABLE = list(dict.fromkeys(b.page for b in ALL if b.language in {"python", *SHELL} and not b.skipped))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the repository's root, with a store of its own and the models that are in the cache already."""
    models, cache = models_directory(), tmp_path / "cache"
    models.mkdir(parents=True, exist_ok=True)
    cache.mkdir()
    (cache / "models").symlink_to(models, target_is_directory=True)
    place = tmp_path / "root"
    place.mkdir()
    (place / "src").symlink_to(ROOT / "src", target_is_directory=True)
    monkeypatch.setenv("PENCHANT_CACHE", str(cache))
    monkeypatch.setenv("PENCHANT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(place)
    # What pages and commands would do over and over is done once: weights are read, and texts encoded, for all of
    # them; few configurations of steering are tried; answers end early.
    monkeypatch.setattr("penchant.marking.resources.load_model", _load_once)
    monkeypatch.setattr("penchant.marking.resources.Embeddings", _embed_once)
    monkeypatch.setattr(Encoder, "records", _encode_once)
    monkeypatch.setitem(VECTOR_METHODS.loaded, "ascent", _QUICK)
    for module in ("penchant.answers", "penchant.conversation.speaking"):
        monkeypatch.setattr(f"{module}.generate_stream", _short)
    return place


@lru_cache
def _load_once(spec: str) -> loading.LoadedModel:
    return loading.load_model(spec)


@lru_cache
def _embed_once() -> Embeddings:
    return Embeddings()


_encode = Encoder.records
_encoded: dict[tuple[object, ...], EncodedRecord] = {}
_QUICK = replace(
    LIKELIHOOD_GRADIENT, aggregations=LIKELIHOOD_GRADIENT.aggregations[:1], strengths=(0.06,), layers=(0.5,)
)


def _encode_once(encoder: Encoder, bodies: Sequence[str]) -> Iterator[tuple[int, EncodedRecord]]:
    by = encoder.calibration
    keys = [(encoder.lens.loaded.fingerprint, by.prefix, by.heads, body) for body in bodies]
    new = [number for number, key in enumerate(keys) if key not in _encoded]
    for number, record in _encode(encoder, [bodies[number] for number in new]):
        _encoded[keys[new[number]]] = record
    return ((number, _encoded[key]) for number, key in enumerate(keys))


def _short(loaded: loading.LoadedModel, prompt: str, *, max_new_tokens: int = 24, **options: Any) -> Iterator[str]:
    return generate_stream(loaded, prompt, max_new_tokens=min(max_new_tokens, 24), **options)


@pytest.mark.model
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_runs(page: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.skipped:
            continue
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)  # the line numbers of the page
        elif block.language in SHELL:
            for words, shown in commands(block):
                assert words[0] == "penchant", f"{block}: only penchant is run; put <!-- not-run: reason --> before it"
                capsys.readouterr()
                code = _run(words, monkeypatch)
                out, err = capsys.readouterr()
                assert code == 0, f"{block}: {shlex.join(words)} exited {code}: {err}"
                for line in shown:
                    assert line.strip() in {"", "…"} or _flat(line) in _flat(out + err), f"{block}: no {line!r}"
        elif block.title:
            file = root / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")


def _run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as left:
        run_app(app)
    return int(left.value.code or 0)


def _flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("block", [b for b in ALL if b.skipped and b.language in SHELL], ids=str)
def test_what_is_not_run_could_be(block: Block) -> None:
    for words, _ in commands(block):
        if words[0] != "penchant":
            continue
        command: Any = typer.main.get_command(app)
        rest = words[1:]
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        given = command.make_context(words[1], list(rest)).params
        if words[1] == "import":
            known = IMPORTERS[given["format"]].options
            assert {pair.partition("=")[0] for pair in given["option"] or ()} <= set(known), f"{block}: {words}"


def test_blocks_that_are_skipped_say_why() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("not-run:") == len(_SKIP.findall(text)), page
        assert len(_SKIP.findall(text)) == sum(block.skipped for block in blocks(page)), f"{page}: one before no block"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def test_no_page_names_this_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(work|root|home|tmp|Users)/", page.read_text(encoding="utf-8")), page


def test_every_environment_variable_is_in_the_settings() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py"))
    names = set(re.findall(r'"(PENCHANT_[A-Z_]+|[A-Z]+_API_KEY)"', source))
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)) == names
