"""Records and conversations of many users, in one database."""

from penchant.store.conversation_list import ConversationEntry
from penchant.store.conversations import Conversations, FoundTurn
from penchant.store.entries import Counts, UserEntry
from penchant.store.erasure.users import ErasureReceipt
from penchant.store.location import default_store
from penchant.store.store import Store

__all__ = [
    "ConversationEntry",
    "Conversations",
    "Counts",
    "ErasureReceipt",
    "FoundTurn",
    "Store",
    "UserEntry",
    "default_store",
]
