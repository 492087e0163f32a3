"""Extensions as packages bring them, and what is said where one of them can't be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from penchant import extensions
from penchant.errors import ExtensionError, InputError
from penchant.extensions import Registry

Bring = Callable[..., None]
KNOWN = {"plain": "json:loads", "other": "json:dumps"}


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Installs a package by its metadata: a name, and its entry points of the group penchant.things."""
    monkeypatch.setattr(extensions, "_entry_points", extensions._entry_points.__wrapped__)
    monkeypatch.syspath_prepend(tmp_path)

    def installed(package: str, **points: str) -> None:
        folder = tmp_path / f"{package}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", encoding="utf-8")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (folder / "entry_points.txt").write_text("[penchant.things]\n" + "\n".join(lines) + "\n", encoding="utf-8")

    return installed


def things(expects: str = "") -> Registry[object]:
    return Registry("thing", "penchant.things", KNOWN, expects)


def test_the_names_of_packages_follow_the_built_in_ones(bring: Bring) -> None:
    bring("alpha", zeta="no_such_module:f", added="math:sqrt")
    found = things()
    assert list(found) == ["plain", "other", "added", "zeta"]
    assert len(found) == 4
    assert "zeta" in found and "absent" not in found
    assert found.loaded == {}  # listing imports nothing
    assert found.find("added")(9) == 3  # type: ignore[operator]
    assert found["plain"]("1") == 1  # type: ignore[operator]


def test_an_unknown_name_lists_all(bring: Bring) -> None:
    bring("alpha", added="math:sqrt")
    with pytest.raises(InputError, match=r"^no thing 'sqrt': expected one of plain, other, added$"):
        things().find("sqrt")
    with pytest.raises(KeyError):
        things()["sqrt"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module:f", r"can't be imported from no_such_module:f \(ModuleNotFoundError: No module named"),
        ("math:no_such_name", r"can't be imported from math:no_such_name \(AttributeError"),
        ("math:pi", "is a float: expected a callable"),
    ],
)
def test_what_can_not_be_used_is_told_with_the_package(bring: Bring, value: str, said: str) -> None:
    bring("alpha", added=value)
    whole = rf"the thing 'added' of alpha 1.2 {said}.*repair or uninstall the package"
    with pytest.raises(ExtensionError, match=whole):
        things().find("added")
    assert things().find("plain")


def test_another_kind_of_thing_is_refused(bring: Bring) -> None:
    bring("alpha", added="math:sqrt", right="tests.test_extensions:KNOWN")
    found = things("builtins:dict")
    with pytest.raises(ExtensionError, match=r"of alpha 1.2 is a builtin_function_or_method: expected dict"):
        found.find("added")
    assert found.find("right") == KNOWN


def test_a_built_in_name_is_not_replaced(bring: Bring) -> None:
    bring("alpha", plain="math:sqrt")
    found = things()
    assert list(found) == ["plain", "other"]
    with pytest.raises(ExtensionError, match=r"^alpha 1.2 adds a thing 'plain', which is a built-in name"):
        found.find("plain")


def test_one_name_of_two_packages_is_refused(bring: Bring) -> None:
    bring("alpha", added="math:sqrt")
    bring("beta", added="math:exp")
    with pytest.raises(ExtensionError, match=r"1.2 and (alpha|beta) 1.2 each add a thing 'added'"):
        things().find("added")
