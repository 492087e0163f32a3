"""Penchant: personal answers from any open-weight language model, at the price of a short prompt."""
