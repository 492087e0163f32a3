"""What the user wants kept: turns that are off the record, and what is to be forgotten."""

from penchant.conversation.retention.wishes import ForgetRequest, Wish, wish_in

__all__ = ["ForgetRequest", "Wish", "wish_in"]
