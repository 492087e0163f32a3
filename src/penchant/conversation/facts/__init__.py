"""Statements in a user's turns about the user, as records of the history."""

from penchant.conversation.facts.records import records_of
from penchant.conversation.facts.statements import Statement, statements
from penchant.history.supersession import superseded

__all__ = ["Statement", "records_of", "statements", "superseded"]
