"""Only tests marked `model` can load a real model: the rest is `make test-fast`."""

import pytest

from penchant.models.loading import load_model


def test_a_test_without_the_marker_is_failed() -> None:
    with pytest.raises(pytest.fail.Exception, match="smollm2 is loaded by a test without the marker `model`"):
        load_model("smollm2")
