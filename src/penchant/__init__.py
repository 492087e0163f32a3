"""Penchant: personal answers from any open-weight language model, at the price of a short prompt."""

from penchant.compression.profile import Profile
from penchant.errors import PenchantError
from penchant.history import History, Record, Request, Segment, Store, load_history
from penchant.marking.marks import Marks
from penchant.models import LoadedModel, load_model
from penchant.personalizer import Answer, Personalizer

__all__ = [
    "Answer",
    "History",
    "LoadedModel",
    "Marks",
    "PenchantError",
    "Personalizer",
    "Profile",
    "Record",
    "Request",
    "Segment",
    "Store",
    "load_history",
    "load_model",
]
