"""A real terminal for tests: tmux, driven by keys and read by its screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

TMUX = shutil.which("tmux")
needs_tmux = pytest.mark.skipif(TMUX is None and os.environ.get("CI") != "true", reason="tmux is missing")
SETTINGS = "set -g remain-on-exit on\nset -g history-limit 9000\nset -g default-terminal screen-256color\n"
PATIENCE = 120.0  # seconds; the machine may be busy


# A shell keeps the exit code: tmux doesn't have it yet, or ever, on every machine when the screen has stood still.
# Ctrl-C is for the program; the shell outlives it.
KEEPING = """trap : INT
sh -c 'echo $$ > "$0"; exec "$@"' "$0/pid" "$@"
echo $? > "$0/ending" && mv "$0/ending" "$0/status"
"""


@dataclass(frozen=True)
class Terminal:
    socket: str
    folder: Path

    def tmux(self, *arguments: str) -> str:
        command = [str(TMUX), "-u", "-L", self.socket, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def keys(self, *names: str) -> None:
        """Presses keys by tmux's names: Enter, C-c, Up."""
        self.tmux("send-keys", *names)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def enter(self, text: str) -> None:
        self.type(text)
        self.keys("Enter")

    def paste(self, text: str) -> None:
        """As a terminal pastes: bracketed, where the program has asked for it."""
        self.tmux("set-buffer", text)
        self.tmux("paste-buffer", "-p")

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self) -> str:
        """All that is and was on the screen; lines that the terminal broke are whole again."""
        return self.tmux("capture-pane", "-p", "-J", "-S", "-")

    def lines(self) -> list[str]:
        """What is on the screen, line by line as the terminal shows them."""
        return self.tmux("capture-pane", "-p").splitlines()

    def wait(self, sign: str | Callable[[str], object]) -> str:
        """The screen, when it shows a text or fulfils a condition."""
        shown = ""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            shown = self.screen()
            if sign in shown if isinstance(sign, str) else sign(shown):
                return shown
            time.sleep(0.05)
        raise AssertionError(f"not on the screen after {PATIENCE} s: {sign}\n{shown}")

    @property
    def process(self) -> int:
        return int((self.folder / "pid").read_text())

    def left(self) -> int:
        """The exit code, when the program is over, as a shell gives it: 128 and the signal for one that was killed."""
        status = self.folder / "status"
        self.wait(lambda _: status.exists())
        return int(status.read_text())


@contextmanager
def terminal(
    command: list[str], environment: Mapping[str, str], folder: Path, *, width: int = 80, height: int = 30
) -> Iterator[Terminal]:
    """A program in a terminal of its own."""
    name = f"penchant-{uuid.uuid4().hex[:12]}"
    made = Terminal(name, folder / name)
    made.folder.mkdir()
    settings = made.folder / "tmux.conf"
    settings.write_text(SETTINGS, encoding="utf-8")
    size = ["-x", str(width), "-y", str(height)]
    begin = [str(TMUX), "-u", "-L", made.socket, "-f", str(settings), "new-session", "-d", *size, "-c", str(folder)]
    own = {**environment, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
    for name in ("TMUX", "COLUMNS", "LINES", "NO_COLOR"):
        own.pop(name, None)
    try:
        keeping = ["sh", "-c", KEEPING, str(made.folder), *command]
        subprocess.run([*begin, "--", *keeping], check=True, env=own)
        yield made
    finally:
        place = Path(made.tmux("display-message", "-p", "#{socket_path}").strip())
        subprocess.run([str(TMUX), "-L", made.socket, "kill-server"], check=False, capture_output=True)
        place.unlink(missing_ok=True)
