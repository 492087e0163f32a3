"""The environments of the clients: a virtual environment or a folder of npm packages for each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penchant.errors import InputError
from penchant.folders import data_folder

HERE = Path(__file__).resolve().parent
_STAMP = "installed.json"


@dataclass(frozen=True)
class Client:
    """A client as clients.toml describes it. packages, npm: what it needs, exactly. program: what asks the question."""

    name: str
    program: str
    api: str
    user: str
    packages: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its packages are."""
        return data_folder() / "clients" / self.name

    @property
    def command(self) -> list[str]:
        """What runs its program."""
        program = HERE / "programs" / self.program
        if self.npm:  # Node finds packages above the program
            return ["node", str(self.folder / program.name)]
        return [str(self._python if self.packages else sys.executable), str(program)]

    @property
    def _python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def make(self) -> None:
        """Install what it needs, unless it is there. Raises `InputError` without npm, and for packages that can't be
        installed.
        """
        wanted = json.dumps([*self.packages, *self.npm])
        stamp = self.folder / _STAMP
        if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted):
            if self.npm:
                self._install_npm()
            elif self.packages:
                venv.create(self.folder, clear=True, with_pip=True)
                pip = [str(self._python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
                self._run([*pip, *self.packages])
            self.folder.mkdir(parents=True, exist_ok=True)
            stamp.write_text(wanted, encoding="utf-8")  # last, so that half an environment is never taken for a whole
        if self.npm:
            shutil.copy(HERE / "programs" / self.program, self.folder)

    def _install_npm(self) -> None:
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise InputError(f"{self.name} needs Node and npm, which aren't here: install Node 20 or later")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        self._run(["npm", "install", "--silent", "--no-audit", "--no-fund", *self.npm])

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise InputError(f"{self.name} can't be installed: {said[-1] if said else f'exit {done.returncode}'}")


def clients() -> Mapping[str, Client]:
    """Return the clients by name."""
    listed = tomllib.loads((HERE / "clients.toml").read_text(encoding="utf-8"))
    return {
        name: Client(
            name=name,
            program=facts["program"],
            api=facts["api"],
            user=facts["user"],
            packages=tuple(facts.get("packages", ())),
            npm=tuple(facts.get("npm", ())),
        )
        for name, facts in listed.items()
    }
