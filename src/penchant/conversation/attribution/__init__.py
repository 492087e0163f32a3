"""Whose words a turn holds: the user's own, or others' that are pasted, quoted, told or imagined."""

from penchant.conversation.attribution.others import OthersWords, mostly_others, others_words, overlaps

__all__ = ["OthersWords", "mostly_others", "others_words", "overlaps"]
