"""Penchant: personal answers from any open-weight language model, at the price of a short prompt."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from penchant.answers import Answer
    from penchant.asynchronous import AsyncPersonalizer, AsyncStore
    from penchant.compression.profile import Profile
    from penchant.conversation.session import Conversation
    from penchant.errors import PenchantError
    from penchant.history.jsonl import load_history
    from penchant.history.records import History, Record, Request, Segment
    from penchant.inference.endpoint import Endpoint
    from penchant.marking.marks import Marks
    from penchant.models import LoadedModel, load_model
    from penchant.personalizer import Personalizer
    from penchant.store import Store

__all__ = [
    "Answer",
    "AsyncPersonalizer",
    "AsyncStore",
    "Conversation",
    "Endpoint",
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

_WHERE = {
    "Answer": "answers",
    "AsyncPersonalizer": "asynchronous",
    "AsyncStore": "asynchronous",
    "Conversation": "conversation.session",
    "Endpoint": "inference.endpoint",
    "History": "history.records",
    "LoadedModel": "models",
    "Marks": "marking.marks",
    "PenchantError": "errors",
    "Personalizer": "personalizer",
    "Profile": "compression.profile",
    "Record": "history.records",
    "Request": "history.records",
    "Segment": "history.records",
    "Store": "store",
    "load_history": "history.jsonl",
    "load_model": "models",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("penchant")
    # torch and transformers take seconds to import: code that needs only a Record or an error shouldn't wait for them.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
