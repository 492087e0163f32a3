"""What all commands print with."""

import io
import sys

import pytest
from rich.console import Console

from penchant.cli import output
from penchant.cli.output import encoding_bar


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_lives_only_while_records_are_encoded(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """A bar that is alive takes what is written to stdout; the answer must not go there."""
    shown = io.StringIO()
    monkeypatch.setattr(output, "stderr", Console(file=shown, force_terminal=terminal, width=80))
    stdout = sys.stdout
    with encoding_bar() as encoded:
        assert sys.stdout is stdout
        for _ in range(2):  # a second history, too
            encoded("encode", 1, 3)
            assert (sys.stdout is not stdout) == terminal
            encoded("encode", 3, 3)
            assert sys.stdout is stdout
        encoded("encode", 1, 3)
    assert sys.stdout is stdout
    assert ("Encoding records" in shown.getvalue()) == terminal


def test_an_interruption_takes_the_bar_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "stderr", Console(file=io.StringIO(), force_terminal=True))
    stdout = sys.stdout
    with pytest.raises(KeyboardInterrupt), encoding_bar() as encoded:
        encoded("encode", 1, 3)
        raise KeyboardInterrupt
    assert sys.stdout is stdout
