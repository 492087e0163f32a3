"""What `import penchant` promises."""

import subprocess
import sys
from pathlib import Path

import pytest

import penchant

PUBLIC = {
    "Answer", "AsyncPersonalizer", "AsyncStore", "Conversation", "Endpoint", "History", "LoadedModel", "Marks",
    "PenchantError", "Personalizer", "Profile", "Record", "Request", "Segment", "Store", "load_history", "load_model",
}  # fmt: skip


def test_the_public_names() -> None:
    assert set(penchant.__all__) == PUBLIC
    assert list(penchant.__all__) == sorted(penchant.__all__)
    assert dir(penchant) == penchant.__all__


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_name_is_there_and_documented(name: str) -> None:
    thing = getattr(penchant, name)
    assert thing.__name__ == name
    assert thing.__doc__
    assert getattr(penchant, name) is thing


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="module 'penchant' has no attribute 'Persona'"):
        penchant.Persona  # noqa: B018
    with pytest.raises(ImportError):
        from penchant import Persona  # noqa: F401


@pytest.mark.slow
def test_a_record_does_not_wait_for_torch_and_nothing_is_printed() -> None:
    program = (
        "import sys; from penchant import Record, Request, History, Store, PenchantError\n"
        "History([Record('text')]); assert 'torch' not in sys.modules\n"
        "from penchant import *\n"
        "assert Personalizer.__name__ == 'Personalizer' and 'torch' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_package_is_typed() -> None:
    assert Path(str(penchant.__file__)).with_name("py.typed").is_file()
