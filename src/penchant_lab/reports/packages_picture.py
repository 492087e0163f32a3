"""The picture of the packages: one row for each layer of import-linter's contract, the highest on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

WIDTH, ROW, GAP, MARGIN = 900, 42, 6, 24
_PRODUCT, _LAB = ("#e0f2f1", "#00796b"), ("#fff3e0", "#e0820d")
_STYLE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" '
    'font-size="14" role="img" aria-labelledby="t d">'
)


def picture(layers: Sequence[Sequence[str]], about: Callable[[str], str]) -> str:
    """An SVG. layers: full names of packages, those that may import most first. about: a line for a package."""
    height = 2 * MARGIN + len(layers) * (ROW + GAP) - GAP
    arrow = WIDTH - MARGIN - 10
    parts = [
        _STYLE.format(width=WIDTH, height=height),
        '<title id="t">The packages</title>',
        '<desc id="d">A row for each layer. A package imports only packages in the rows below it.</desc>',
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#37474f"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#fcfbf8"/>',
        f'<path d="M{arrow} {MARGIN}V{height - MARGIN}" stroke="#37474f" stroke-width="1.6" marker-end="url(#a)"/>',
        f'<text transform="translate({arrow - 10} {height // 2}) rotate(90)" text-anchor="middle" fill="#546e7a" '
        'font-size="13">imports</text>',
    ]
    for row, names in enumerate(layers):
        top = MARGIN + row * (ROW + GAP)
        room = (arrow - 30 - MARGIN - GAP * (len(names) - 1)) / len(names)
        for column, name in enumerate(names):
            parts.append(_box(name, about(name), MARGIN + column * (room + GAP), top, room))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _box(name: str, about: str, left: float, top: float, width: float) -> str:
    fill, stroke = _LAB if name.startswith("penchant_lab") else _PRODUCT
    label = name.removeprefix("penchant.")
    inset = 126
    return (
        f'<rect x="{left:.0f}" y="{top}" width="{width:.0f}" height="{ROW}" rx="5" fill="{fill}" stroke="{stroke}"/>'
        f'<text x="{left + 12:.0f}" y="{top + 26}" fill="#263238" font-weight="600">{escape(label)}</text>'
        f'<text x="{left + inset:.0f}" y="{top + 26}" fill="#546e7a" font-size="12.5">'
        f"{escape(_short(about, width - inset - 8))}</text>"
    )


def _short(text: str, width: float) -> str:
    """As much of a line as fits, cut after a comma or a colon where it doesn't."""
    most = int(width / 6.3)
    if len(text) <= most:
        return text
    cut = max(text.rfind(mark, 0, most) for mark in ",:;")
    return text[:cut] if cut > 0 else text[:most].rsplit(" ", 1)[0]
