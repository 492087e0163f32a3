"""The commits of one author in a local git repository."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from penchant.errors import InputError
from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, need_user
from penchant.history.records import Record

_FIELDS = ("%H", "%aI", "%an", "%B")
_CHUNK = 1 << 16


def read(path: str | Path, *, user: str | None = None, author: str | None = None) -> Iterator[Pair]:
    """Yield one record per commit in the history of HEAD, without merges, oldest first; all belong to `user`.

    author: part of the author's name or address, taken literally (default: the repository's user.email). text: the
    commit message; when: the author date; id: the hash; kind "commit"; meta: author, repository. Runs `git log`. Raises
    `InputError` if git or the repository is missing, or no author is known.
    """
    owner = need_user(user, "a git log")
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{folder} can't be read: no such folder; expected a git repository")
    _git(folder, "rev-parse", "--git-dir")
    name = folder.resolve().name
    who = author or _git(folder, "config", "--default", "", "user.email").strip()
    if not who:
        raise InputError(f"{folder} has no user.email: expected an author; pass author (-o author=NAME)")
    if not _git(folder, "rev-list", "-n1", "--all").strip():  # git log would fail on an unborn branch
        raise InputError(f"{folder} has no commits: expected a repository with a history")
    for number, when, by, message in _commits(folder, who):
        if message.strip():
            meta = {"author": by, "repository": name}
            at = datetime.fromisoformat(when)
            yield owner, Record(message.strip(), id=number, when=at, kind="commit", meta=meta)


def _command(folder: Path, *arguments: str) -> list[str]:
    return ["git", "-C", str(folder), "-c", "log.showSignature=false", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            _command(folder, *arguments), capture_output=True, env=_environment(), check=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise InputError("git is not installed: expected the command `git`; install it") from None
    except subprocess.CalledProcessError as error:
        raise InputError(_reason(folder, error.stderr)) from None
    return done.stdout.decode("utf-8", "replace")


def _commits(folder: Path, author: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield the fields of each commit as git writes them: with -z, a NUL ends each field and each commit."""
    shape = "%x00".join(_FIELDS)
    wanted = ("-z", "--no-merges", "--reverse", "-i", "-F", f"--author={author}", "--encoding=UTF-8", "--no-mailmap")
    command = _command(folder, "log", *wanted, f"--format=tformat:{shape}", "HEAD", "--")
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=_environment(), stdin=subprocess.DEVNULL
        ) as process,
    ):
        assert process.stdout is not None
        finished = False
        try:
            fields = _fields(process.stdout)
            yield from zip(fields, fields, fields, fields, strict=True)
            finished = True
        finally:
            if not finished:
                process.kill()
        if process.wait():
            errors.seek(0)
            raise InputError(_reason(folder, errors.read()))


def _fields(stream: IO[bytes]) -> Iterator[str]:
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\x00")
        for field in whole:
            yield field.decode("utf-8", "replace")


def _reason(folder: Path, errors: bytes) -> str:
    lines = errors.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
    return f"{folder} can't be read as a git repository ({lines[0]}): expected a local repository; check the path"


IMPORTER = Importer(read, "commits of one author in a local git repository")
