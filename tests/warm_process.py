"""Command lines in processes that have imported torch already: importing it is most of what a command costs, and here
not what is tested. They are forked from a server that has Penchant's heavy modules and none of the command line's."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.reduction import DupFd
from threading import Thread
from typing import IO, Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["penchant.personalizer", "transformers.models.llama.modeling_llama"])


class _Passed:
    """A file descriptor, on its way into another process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _arrived, (DupFd(self.number),)


def _arrived(passed: Any) -> int:
    number: int = passed.detach()
    return number


def _nothing() -> None:
    """What a process does first, unless a test wants something."""


def _main(
    streams: Sequence[int],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    first: Callable[[], object],
    largest: int,
) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, buffering=1) for number, mode in enumerate("rww"))
    os.environ.clear()
    os.environ.update(environment)
    first()
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    sys.argv = ["penchant", *arguments]
    from penchant.__main__ import run

    run()


class WarmProcess:
    """A command line in a process of its own, with the part of `subprocess.Popen` that tests use.

    stdout, stderr: a terminal's descriptor (default: a pipe). first: a function of a module, called before anything
    else. largest: most bytes of a file that it writes (0: any).
    """

    def __init__(
        self,
        arguments: Sequence[object],
        environment: Mapping[str, str],
        *,
        stdout: int | None = None,
        stderr: int | None = None,
        first: Callable[[], object] = _nothing,
        largest: int = 0,
    ) -> None:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe() if stdout is None else (None, os.dup(stdout))
        ours_err, theirs_err = os.pipe() if stderr is None else (None, os.dup(stderr))
        theirs = (theirs_in, theirs_out, theirs_err)
        given = ([*map(_Passed, theirs)], [*map(str, arguments)], dict(environment), first, largest)
        self._process = _SERVER.Process(target=_main, args=given, daemon=True)
        self._process.start()
        for number in theirs:
            os.close(number)
        self.stdin: IO[str] = os.fdopen(ours_in, "w")
        self.stdout, self.stderr = (None if one is None else os.fdopen(one) for one in (ours_out, ours_err))

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[str, str]:
        self.stdin.close()
        found: dict[IO[str] | None, str] = {None: ""}

        def read(stream: IO[str]) -> None:
            found[stream] = stream.read()
            stream.close()

        streams = [stream for stream in (self.stdout, self.stderr) if stream is not None]
        readers = [Thread(target=read, args=(stream,), daemon=True) for stream in streams]
        for reader in readers:
            reader.start()
        self._process.join(timeout)
        for reader in readers:
            reader.join(timeout)
        assert self._process.exitcode is not None, f"still running after {timeout} s"
        return found[self.stdout], found[self.stderr]
