"""Where data and caches lie on each platform; nothing that an earlier release wrote is lost."""

from pathlib import Path

import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from penchant.folders import cache_folder, data_folder


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    for name in ("PENCHANT_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def platform(monkeypatch, name, kind):
    monkeypatch.setattr("sys.platform", name)
    monkeypatch.setattr(platformdirs, "PlatformDirs", kind)


def test_linux(monkeypatch, tmp_path):
    platform(monkeypatch, "linux", Unix)
    assert data_folder() == tmp_path / ".local" / "share" / "penchant"
    assert cache_folder() == tmp_path / ".cache" / "penchant"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert (data_folder(), cache_folder()) == (Path("/data/penchant"), Path("/cache/penchant"))
    monkeypatch.setenv("PENCHANT_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"


def test_macos(monkeypatch, tmp_path):
    platform(monkeypatch, "darwin", MacOS)
    data, cache = (tmp_path / "Library" / kind / "penchant" for kind in ("Application Support", "Caches"))
    assert (data_folder(), cache_folder()) == (data, cache)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert (data_folder(), cache_folder()) == (Path("/data/penchant"), Path("/cache/penchant"))
    data.mkdir(parents=True)  # of a release that knew no XDG variables here
    cache.mkdir(parents=True)
    assert (data_folder(), cache_folder()) == (data, cache)


def test_windows(monkeypatch, tmp_path):
    platform(monkeypatch, "win32", Windows)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", lambda name: str(tmp_path / name))
    assert data_folder() == cache_folder() == tmp_path / "CSIDL_LOCAL_APPDATA" / "penchant"
