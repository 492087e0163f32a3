"""Loading a model, its chat template, its device, the parts of its family."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penchant.models.loading import LoadedModel, load_model, wrap_model

__all__ = ["LoadedModel", "load_model", "wrap_model"]


def __getattr__(name: str) -> object:
    # A module of this package that needs no torch (`model_name`) shouldn't wait for it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from penchant.models import loading

    return getattr(loading, name)
