import subprocess
import sys

import pytest

from penchant.compression.registry import COMPRESSORS, compressor
from penchant.errors import InputError
from penchant.history.records import Request
from tests.compression.cases import history_of, marks_of, tokenizer_of, whole_records


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(InputError, match="no compressor 'zip': expected one of extractive, rewriting, remote"):
        compressor("zip")


def test_options_are_taken_where_they_fit() -> None:
    history = history_of("the sea")
    marks = marks_of(whole_records(history), [1.0])
    made = compressor("extractive", tokenizer=tokenizer_of("bytes"), dates=False, base_url="http://x", loaded=None)
    assert made(history, Request("?"), marks, 50).text == "the sea"


def test_missing_options_are_named() -> None:
    with pytest.raises(InputError, match="'remote' needs base_url, model"):
        compressor("remote", tokenizer=tokenizer_of("bytes"))
    assert set(COMPRESSORS) == {"extractive", "rewriting", "remote"}


def test_importing_compression_does_not_import_torch() -> None:
    code = "import sys, penchant.compression; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
