import types

import pytest

from penchant.models.replaced import replaced


def test_what_was_there_is_there_again_after_an_error_too() -> None:
    module = types.ModuleType("library")
    module.reader = "own"  # type: ignore[attr-defined]
    with pytest.raises(KeyError), replaced(module, "reader", "ours"), replaced(module, "reader", "inner"):
        assert module.reader == "inner"  # type: ignore[attr-defined]
        raise KeyError
    assert module.reader == "own"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError), replaced(module, "writer", "ours"):
        pass
    assert not hasattr(module, "writer")
