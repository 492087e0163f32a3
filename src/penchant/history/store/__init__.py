"""Where records and conversations live, and how a user is erased."""

from penchant.history.store.conversation_list import ConversationEntry
from penchant.history.store.dialogues import Dialogues, FoundTurn
from penchant.history.store.erasure import ErasureReceipt
from penchant.history.store.location import default_store
from penchant.history.store.store import Counts, Store, UserEntry

__all__ = [
    "ConversationEntry",
    "Counts",
    "Dialogues",
    "ErasureReceipt",
    "FoundTurn",
    "Store",
    "UserEntry",
    "default_store",
]
