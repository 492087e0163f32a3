"""Where records live, and how a user is erased."""

from penchant.history.store.erasure import ErasureReceipt
from penchant.history.store.location import default_store
from penchant.history.store.store import Counts, Store, UserEntry

__all__ = ["Counts", "ErasureReceipt", "Store", "UserEntry", "default_store"]
