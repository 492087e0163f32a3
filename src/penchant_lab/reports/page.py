"""A results document as one self-contained HTML page."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from penchant_lab.reports import tables
from penchant_lab.reports.markdown import title
from penchant_lab.reports.plots import plots
from penchant_lab.reports.tables import Document


def page(document: Document) -> str:
    """One HTML file with tables and plots, light or dark as the reader's system is.

    It loads nothing and runs no script; a content security policy says so. All text of the document is escaped.
    document: as `penchant bench` writes it to results.json. Raises `InputError` without matplotlib.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(_asset("page.html"))
    return template.render(
        title=title(document),
        style=_asset("page.css"),
        benchmark=document["benchmark"],
        task=document["task"],
        model=document["model"]["name"],
        verdict=document["summary"]["verdict"],
        plots=plots(document, themed=True),
        references=tables.references(document),
        methods=tables.methods(document),
        differences=tables.differences(document),
        costs=tables.costs(document),
        categories=[*tables.categories(document), *tables.category_differences(document)],
        setting=tables.setting(document),
        about=tables.about(document),
        notes=document.get("notes") or (),
    )


def _asset(name: str) -> str:
    return files("penchant_lab.reports").joinpath(name).read_text("utf-8")
