import sys
from pathlib import Path

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.figures import check_plot
from penchant.lens.calibration import Calibration
from penchant.lens.plot import plot_heads

MADE = Calibration("tiny", "f" * 64, ((1, 2), (0, 3)), (1.0, 0.5))


def auc(layers: int = 4, tried: int = 2) -> np.ndarray:
    out = np.full((layers, 4), np.nan, dtype=np.float32)
    out[:tried] = np.linspace(0.5, 1.0, tried * 4, dtype=np.float32).reshape(tried, 4)
    return out


def test_a_png_of_the_layers_that_were_tried(tmp_path: Path) -> None:
    from matplotlib.image import imread

    pictures = []
    for tried in (2, 4):
        path = tmp_path / f"{tried}.png"
        plot_heads(auc(tried=tried), MADE, path)
        pictures.append(imread(path))
    narrow, wide = pictures
    assert narrow.shape[0] == wide.shape[0]
    assert narrow.shape[1] < wide.shape[1]
    assert narrow[..., :3].std() > 0.05


def test_an_svg_names_the_model_and_frames_each_calibrated_head(tmp_path: Path) -> None:
    framed = []
    for heads in (((1, 2),), MADE.heads):
        path = tmp_path / "heads.svg"
        plot_heads(auc(), Calibration("tiny", "f" * 64, heads, (1.0,) * len(heads)), path)
        framed.append(path.read_text(encoding="utf-8").count("stroke: #dc143c"))
    assert framed == [1, 2]


@pytest.mark.parametrize("name", ["heads.xyz", "heads", "no/heads.png"])
def test_a_place_or_format_that_can_not_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"can't write .*{name}"):
        plot_heads(auc(), MADE, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "heads.png").mkdir()
    with pytest.raises(InputError, match=r"can't write .*heads\.png"):
        plot_heads(auc(), MADE, tmp_path / "heads.png")


def test_without_matplotlib_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'penchant\[bench\]'"):
        check_plot(tmp_path / "heads.png")
