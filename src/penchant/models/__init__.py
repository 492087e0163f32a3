"""Loading a model, its chat template, its device, the parts of its family."""

from penchant.models.loading import LoadedModel, load_model, wrap_model

__all__ = ["LoadedModel", "load_model", "wrap_model"]
