"""What the pages repeat from the code and the results is what these say now."""

import re
import runpy
from pathlib import Path

import pytest
import typer

from penchant.cli.main import app
from penchant_lab.reports.blocks import AT_BUILD, BLOCKS, measured, package_map, reports
from penchant_lab.reports.generated import ROOT, fill, main, pages
from penchant_lab.reports.readme_table import NOTHING


@pytest.mark.slow
def test_no_page_is_out_of_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_every_block_has_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in pages(ROOT))
    for name in {**BLOCKS, **AT_BUILD}:
        assert text.count(f"<!-- {name}:begin -->") == 1, name


def test_only_what_lies_between_the_comments_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme, block = tmp_path / "README.md", "before\n<!-- results:begin -->\n{}\n<!-- results:end -->\nafter\n"
    readme.write_text(block.format("old"), encoding="utf-8")
    given = ["--root", str(tmp_path)]
    assert main([*given, "--check"]) == 1
    assert "README.md" in capsys.readouterr().err
    assert readme.read_text(encoding="utf-8") == block.format("old")
    assert main(given) == 0
    assert readme.read_text(encoding="utf-8") == block.format(NOTHING)
    assert main([*given, "--check"]) == 0


def test_a_block_that_is_filled_at_the_build_stays_empty_until_then() -> None:
    page = "<!-- measured:begin -->\n<!-- measured:end -->\n"
    assert fill(page, BLOCKS) == page
    hook = runpy.run_path(str(ROOT / "docs" / "hooks" / "generated.py"))["on_page_markdown"]
    assert "\n## " in hook(page)


def test_a_name_that_no_block_has_and_a_missing_end() -> None:
    with pytest.raises(ValueError, match="no block 'resluts': expected one of"):
        fill("<!-- resluts:begin --><!-- resluts:end -->", BLOCKS)
    with pytest.raises(ValueError, match="<!-- results:end -->"):
        fill("<!-- results:begin -->", BLOCKS)


def test_every_package_is_in_the_map_with_its_line() -> None:
    rows = [re.fullmatch(r"\| `([^`]+)` \| (.*) \|", line) for line in package_map(ROOT).splitlines()[2:]]
    assert all(row and row[2].strip() for row in rows), "a package without a docstring"
    named = sorted(row[1] for row in rows if row and row[1].endswith("/"))
    packages = [one.parent.relative_to(ROOT / "src") for one in (ROOT / "src").glob("penchant*/**/__init__.py")]
    inner = ["/".join(one.parts[1:]) + "/" for one in packages if len(one.parts) > 1]
    assert named == sorted(["src/penchant/", "src/penchant_lab/", *inner])


def test_every_command_is_in_the_reference() -> None:
    text = BLOCKS["cli"](ROOT)
    assert {"import", "users", "mark", "compress", "ask", "doctor"} <= set(typer.main.get_command(app).commands)
    for name, command in typer.main.get_command(app).commands.items():
        assert f"## penchant {name}\n\n```text\nUsage: penchant {name} " in text
        for child in getattr(command, "commands", {}):
            assert f"## penchant {name} {child}\n" in text
    assert "--faithfulness" in text


def test_results_go_one_heading_down(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks" / "results"
    (folder / "one").mkdir(parents=True)
    assert "No results" in measured(tmp_path)
    (folder / "marking.md").write_text("`python x.py`\n\n| a |\n", encoding="utf-8")
    (folder / "speed.md").write_text("# Speed\n\n## A. One\n", encoding="utf-8")
    assert "No report" in reports(tmp_path)
    (folder / "one" / "report.md").write_text("# Bench\n\n| b |\n", encoding="utf-8")
    assert reports(tmp_path) == "## Bench\n\n| b |"
    assert measured(tmp_path) == "## marking\n\n`python x.py`\n\n| a |\n\n## Speed\n\n### A. One"
