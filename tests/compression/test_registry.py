import subprocess
import sys
from pathlib import Path

import pytest

from penchant.compression.registry import COMPRESSORS, make_compressor
from penchant.errors import InputError
from penchant.history.records import Request
from penchant.marking.resources import Resources
from tests.compression.cases import history_of, marks_of, tokenizer_of, whole_records

NONE = Resources(Path("/no/such/model"))
BYTES = {"tokenizer": tokenizer_of("bytes")}


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(InputError, match="no compressor 'zip': expected one of extractive, rewriting, remote"):
        make_compressor("zip", NONE, {})


def test_options_reach_the_compressor() -> None:
    history = history_of("the sea")
    marks = marks_of(whole_records(history), [1.0])
    made = make_compressor("extractive", NONE, {**BYTES, "dates": False})
    assert made(history, Request("?"), marks, 50).text == "the sea"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("extractive", {"base_url": "http://x"}, "no option 'base_url': its options are tokenizer, dates"),
        ("extractive", {"loaded": None}, "compressor 'extractive' has no option 'loaded'"),
        ("rewriting", {"endpoint_model": "m", "a": 1}, "has no option 'endpoint_model', 'a'"),
        ("remote", {}, "'remote' needs base_url, endpoint_model: pass a value for each"),
        ("remote", {"base_url": "http://x", "endpoint_model": "m", "timeout": "soon"}, "timeout can't be 'soon'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as refused:
        make_compressor(name, NONE, options)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_the_names() -> None:
    assert list(COMPRESSORS)[:3] == ["extractive", "rewriting", "remote"]


@pytest.mark.parametrize("name", ["registry", "extractive", "rewriting", "remote"])
def test_importing_a_compressor_does_not_import_torch(name: str) -> None:
    code = f"import sys, penchant.compression.{name}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
