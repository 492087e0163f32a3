"""Dates in a request: "on 5 March 2026", "last week", "in spring 2024", "most recently"."""

from penchant.text.dates.expressions import Order, TimeExpression, asks_for_time, time_expressions

__all__ = ["Order", "TimeExpression", "asks_for_time", "time_expressions"]
