"""From marks to a profile: budget, packing, rewriting and its check, the prompt.

`faithfulness` needs torch and is imported from its own module: `penchant.compression.faithfulness`.
"""

from penchant.compression.budget import count_tokens, fill, history_counter, resolve_budget
from penchant.compression.extractive import extractive, mass_kept
from penchant.compression.profile import Compressor, Profile
from penchant.compression.prompt import answer_messages
from penchant.compression.registry import COMPRESSORS, compressor
from penchant.compression.remote import remote
from penchant.compression.rewriting import rewriting

__all__ = [
    "COMPRESSORS",
    "Compressor",
    "Profile",
    "answer_messages",
    "compressor",
    "count_tokens",
    "extractive",
    "fill",
    "history_counter",
    "mass_kept",
    "remote",
    "resolve_budget",
    "rewriting",
]
