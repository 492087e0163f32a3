"""The generated blocks of the documentation, by name: each is a function from the checkout's root to Markdown.

Tables that repeat the code are made from registries, signatures and docstrings, so they can't drift from it.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from penchant_lab.reports import readme_table, registry_tables
from penchant_lab.reports.packages_picture import picture
from penchant_lab.reports.registry_tables import first_sentence, table

WIDTH = 88
"""Columns of the help texts."""


# The code


def package_map(root: Path) -> str:
    """List every package, and the modules next to them, with the first sentence of their docstrings."""
    rows = [
        (f"`{path}`", _about(module)) for name in ("penchant", "penchant_lab") for path, module in _tree(root, name)
    ]
    return table(("where", "what"), rows)


def _tree(root: Path, package: str) -> Iterator[tuple[str, Path]]:
    """Yield displayed paths, with the module whose docstring describes them."""
    top = root / "src" / package
    yield f"src/{package}/", top / "__init__.py"
    modules = (one for one in sorted(top.glob("*.py")) if not one.name.startswith("__"))
    yield from ((one.name, one) for one in modules)
    for inner in sorted(top.glob("*/**/__init__.py")):
        yield f"{inner.parent.relative_to(top).as_posix()}/", inner


def _about(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return first_sentence(text)


def layers(root: Path) -> str:
    """The order of imports that import-linter enforces, the lowest layer first."""
    rooms = [", ".join(name.removeprefix("penchant.") for name in layer) for layer in reversed(_layers(root))]
    return "```text\n" + " < ".join(rooms) + "\n```"


def packages_svg(root: Path) -> str:
    """The same as a picture."""

    def about(name: str) -> str:
        module = root / "src" / name.replace(".", "/")
        return _about(module / "__init__.py" if module.is_dir() else module.with_suffix(".py"))

    return picture(_layers(root), about)


def _layers(root: Path) -> list[list[str]]:
    """Packages by layer, those that may import most first."""
    contracts = _project(root)["tool"]["importlinter"]["contracts"]
    order = next(one for one in contracts if one["type"] == "layers")["layers"]
    return [[name.strip() for name in re.split(r"[|:]", layer)] for layer in order]


def extras(root: Path) -> str:
    """List the packages that `pip install 'penchant[NAME]'` adds."""
    groups = _project(root)["project"]["optional-dependencies"]
    rows = [
        (f"`{name}`", ", ".join(re.split(r"[<>=~!;]", one)[0].strip() for one in packages))
        for name, packages in groups.items()
    ]
    return table(("extra", "packages"), rows)


def _project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


# The families of models


def families(root: Path) -> str:
    """What works with each family of models, tried on tiny random ones."""
    from penchant_lab.families.support import families_table

    return families_table()


# The command line


def cli(root: Path) -> str:
    """A section for each command, with what its --help prints."""
    import typer
    from typer.testing import CliRunner

    from penchant.cli.main import app

    runner = CliRunner()
    wide: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    parts = []
    for words in [[], *_paths(typer.main.get_command(app))]:
        shown = runner.invoke(app, [*words, "--help"], prog_name="penchant", **wide)
        if shown.exit_code != 0:
            raise RuntimeError(f"penchant {' '.join(words)} --help exited {shown.exit_code}: {shown.output}")
        text = "\n".join(line.rstrip() for line in shown.stdout.strip().splitlines())
        parts.append(f"## penchant {' '.join(words)}".rstrip() + f"\n\n```text\n{text}\n```")
    return "\n\n".join(parts)


def _paths(command: Any) -> Iterator[list[str]]:
    for name, child in getattr(command, "commands", {}).items():
        yield [name]
        for path in _paths(child):
            yield [name, *path]


# Results


def results(root: Path) -> str:
    """The tables of the README, from the committed results."""
    return readme_table.render(root / "benchmarks" / "results")


def measured(root: Path) -> str:
    """The pages of results, their headings one level down, each under the name of its file where it has no heading."""
    pages = sorted((root / "benchmarks" / "results").glob("*.md"), key=lambda page: page.stem)
    return "\n\n".join(_demoted(page) for page in pages) or "No results are committed yet."


def reports(root: Path) -> str:
    """The reports of `penchant bench`, their headings one level down."""
    pages = sorted((root / "benchmarks" / "results").glob("*/report.md"), key=lambda page: page.parent.name)
    return "\n\n".join(_demoted(page) for page in pages) or "No report is committed yet."


def contributing(root: Path) -> str:
    """CONTRIBUTING.md as a page of the site, whose links start in docs/."""
    return (root / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "](")


def _demoted(page: Path) -> str:
    text = re.sub(r"^(#+ )", r"#\1", page.read_text(encoding="utf-8").strip(), flags=re.MULTILINE)
    text = text.replace("\\~", "~")  # an escape that GitHub needs and MkDocs doesn't know
    return text if text.startswith("#") else f"## {page.stem}\n\n{text}"


Block = Callable[[Path], str]

#: Written into the pages of the repository.
BLOCKS: dict[str, Block] = {
    "map": package_map,
    "layers": layers,
    "extras": extras,
    "cli": cli,
    "results": results,
    "markers": registry_tables.markers,
    "compressors": registry_tables.compressors,
    "memories": registry_tables.memories,
    "detectors": registry_tables.detectors,
    "steering-methods": registry_tables.steering_methods,
    "formats": registry_tables.formats,
    "tasks": registry_tables.tasks,
    "models": registry_tables.embedded_models,
    "families": families,
}
#: Filled when the site is built, and empty in the repository: copies of other files.
AT_BUILD: dict[str, Block] = {"measured": measured, "reports": reports, "contributing": contributing}
#: Files that are made as a whole.
FILES: dict[str, Block] = {"docs/images/packages.svg": packages_svg}
