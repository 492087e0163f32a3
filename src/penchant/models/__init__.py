"""Loading a model, and where a family keeps its parts."""

from penchant.models.loading import LoadedModel, load_model, wrap_model

__all__ = ["LoadedModel", "load_model", "wrap_model"]
