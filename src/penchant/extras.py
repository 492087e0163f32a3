"""Optional packages: a missing one is reported before the work begins, not after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from penchant.errors import InputError

_DISTRIBUTION = {"sklearn": "scikit-learn", "rouge_score": "rouge-score"}
"""Names of distributions that differ from the name of their module."""


def require(*modules: str, extra: str, why: str) -> None:
    """Raise `InputError` if a top-level module isn't installed. extra: the extra of Penchant that installs it. why:
    what needs it, in a few words. Imports nothing.
    """
    missing = [_DISTRIBUTION.get(module, module) for module in modules if find_spec(module) is None]
    if missing:
        raise InputError(f"{why} needs {', '.join(missing)}, not installed here: pip install 'penchant[{extra}]'")


@contextmanager
def imported(module: str, *, extra: str, why: str) -> Iterator[None]:
    """For imports of a package that an extra installs: raises `InputError` if the package itself isn't there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise InputError(f"{why} needs {module}, not installed here: pip install 'penchant[{extra}]'") from None
