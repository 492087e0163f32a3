"""What a user's turns say about the user, as records of the history."""

from penchant.history.said import superseded
from penchant.memory.facts.records import records_of
from penchant.memory.facts.statements import Statement, statements

__all__ = ["Statement", "records_of", "statements", "superseded"]
