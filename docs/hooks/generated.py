"""MkDocs' hook: fills the blocks of a page, see `penchant_lab.reports.generated`."""

from __future__ import annotations

from typing import Any

from penchant_lab.reports.blocks import AT_BUILD, BLOCKS
from penchant_lab.reports.generated import fill


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its blocks filled, the large ones too."""
    return fill(markdown, {**BLOCKS, **AT_BUILD})
