"""Finds peers, and communicates with their workers.

A peer's worker reads one JSON object a line on its stdin and answers one a line on its stdout; see penchant_lab.peers.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import tomllib
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any, Literal, get_args

from penchant.errors import InputError, ModelError
from penchant.folders import data_folder

FOLDER = "PENCHANT_PEERS"
MAKE = "python -m penchant_lab.peers"
STAMP = "installed.txt"
#: Seconds for one answer: a whole history on a slow machine.
TIMEOUT = 1800.0
_GRACE = 5.0

Kind = Literal["text", "cache"]
"""What a peer gives: a text, or answers from compressed keys and values."""


@dataclass(frozen=True)
class PeerMethod:
    """A method of a peer. options: sent with every request. aware: it reads the question together with the history."""

    about: str
    options: Mapping[str, Any] = field(default_factory=dict)
    aware: bool = False


@dataclass(frozen=True)
class PeerFolder:
    """A peer as its peer.toml describes it."""

    path: Path
    about: str
    kind: Kind
    methods: Mapping[str, PeerMethod]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def environment(self) -> Path:
        """The folder of its Python: `.venv` beside the adapter, if there is one, else in Penchant's data folder. An
        adapter may lie where nothing can be written."""
        beside = self.path / ".venv"
        return beside if beside.is_dir() else data_folder() / "peers" / self.name

    @property
    def python(self) -> Path:
        return self.environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def check(self) -> None:
        """Raises `ModelError` when the environment isn't made, or is older than its requirements."""
        try:
            made = (self.environment / STAMP).read_bytes()
        except OSError:
            raise ModelError(f"the peer {self.name} has no environment yet: run `{MAKE} {self.name}`") from None
        if made != (self.path / "requirements.txt").read_bytes():
            raise ModelError(f"the requirements of peer {self.name} have changed: run `{MAKE} {self.name}` again")


def find_peers(folder: str | Path | None = None) -> dict[str, PeerFolder]:
    """The peers in a folder, by name: default $PENCHANT_PEERS, else those that come with the lab.

    Raises `InputError` for a named folder that doesn't exist and for an unreadable peer.toml.
    """
    named = folder or os.environ.get(FOLDER)
    path = Path(named).expanduser().resolve() if named else Path(__file__).resolve().parent
    if named and not path.is_dir():
        raise InputError(f"no folder {path} to look for peers in: expected one like penchant_lab/peers")
    return {file.parent.name: _describe(file) for file in sorted(path.glob("*/peer.toml"))}


def _describe(file: Path) -> PeerFolder:
    where = f"{file.parent.name}/{file.name}"
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        methods = {name: PeerMethod(**facts) for name, facts in document["methods"].items()}
        peer = PeerFolder(file.parent, str(document["about"]), document["kind"], methods)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{where}: {error!r}; expected about, kind and [methods.NAME] with about") from None
    if peer.kind not in get_args(Kind):
        raise InputError(f"{where}: kind {peer.kind!r}; expected one of {', '.join(get_args(Kind))}")
    return peer


class Peer:
    """A peer's worker, started with the first request and ended by `close`, with this object, or with this process.

    load: sent as the first request of every start ({"model": directory, "dtype": ..., "threads": ...}); None: nothing.
    timeout: seconds for one answer. After a timeout or a crash the next request starts the worker anew.
    """

    def __init__(self, folder: PeerFolder, load: Mapping[str, Any] | None = None, *, timeout: float = TIMEOUT) -> None:
        self.folder, self.load, self.timeout = folder, load, timeout
        #: What the worker said to `load`: the versions it runs on.
        self.loaded: Mapping[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None
        self._answers: Queue[str | None] = Queue()
        self._said: deque[str] = deque(maxlen=50)
        self._listening: list[threading.Thread] = []
        self._reap: weakref.finalize[[subprocess.Popen[str]], Any] | None = None

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask(self, op: str, **payload: Any) -> dict[str, Any]:
        """The worker's answer to one request.

        Raises `ModelError`: no environment yet, the worker's own error, its end, no answer in time, or nonsense.
        """
        if not self.running:
            self.close()
            self._start()
            if self.load is not None:
                self.loaded = self._asked("load", dict(self.load))
        return self._asked(op, payload)

    def close(self) -> None:
        """End the worker, if there is one, and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._reap is not None:
            self._reap.detach()
        _end(process)
        for thread in self._listening:
            thread.join(_GRACE)

    def _start(self) -> None:
        self.folder.check()
        threads = str((self.load or {}).get("threads", 1))
        # Its own packages only, nothing from the network, and Ctrl-C stays with us, who end it.
        left = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        offline = {"HF_HUB_OFFLINE": "1", "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
        try:
            process = subprocess.Popen(
                [str(self.folder.python), str(self.folder.path / "worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**left, **offline, "OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"},
                start_new_session=True,
            )
        except OSError as error:
            raise ModelError(
                f"the peer {self.folder.name} can't be started ({error}): run `{MAKE} {self.folder.name}`"
            ) from error
        self._process = process
        self._reap = weakref.finalize(self, _end, process)
        self._answers, self._said = Queue(), deque(maxlen=50)
        assert process.stdout is not None and process.stderr is not None  # PIPE
        self._listening = [
            threading.Thread(target=_listen, args=(process.stdout, self._answers.put), daemon=True),
            threading.Thread(target=_listen, args=(process.stderr, self._said.append), daemon=True),
        ]
        for thread in self._listening:
            thread.start()

    def _asked(self, op: str, payload: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None  # just started
        done = False
        try:
            with contextlib.suppress(OSError):  # gone already: its end is what the next line sees
                process.stdin.write(json.dumps({"op": op, **payload}) + "\n")
                process.stdin.flush()
            line = self._answers.get(timeout=self.timeout)
            done = line is not None
        except Empty:
            raise ModelError(f"the peer {self.folder.name} gave no answer to {op!r} in {self.timeout:g} s") from None
        finally:
            if not done:  # an answer that comes later would be taken for that to the next request
                process.kill() if self.running else None
                self.close()
        if line is None:
            raise ModelError(
                f"the peer {self.folder.name} ended at {op!r} ({_why(process.returncode)}): {self._last()}"
            )
        try:
            answer = json.loads(line)
            error = answer.get("error")
        except (ValueError, AttributeError):
            self.close()
            raise ModelError(
                f"the peer {self.folder.name} answered {line.strip()[:80]!r} to {op!r}: expected one JSON object a line"
            ) from None
        if error is not None:
            raise ModelError(f"the peer {self.folder.name} failed at {op!r}: {error}")
        return dict(answer)

    def _last(self) -> str:
        said = [line.strip() for line in self._said if line and line.strip()]
        return said[-1][:300] if said else "it said nothing"


def _listen(stream: IO[str], tell: Any) -> None:
    """Pass on the lines of a stream; None at its end."""
    with contextlib.suppress(ValueError):  # closed by another thread
        for line in stream:
            tell(line)
    tell(None)


def _end(process: subprocess.Popen[str]) -> None:
    """End the worker: closing its stdin asks it to exit; after some seconds it is killed."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _why(code: int | None) -> str:
    return "killed, most likely for its memory" if code == -9 else f"exit {code}"
