"""Measuring: data sets, metrics, and the protocol that runs markers over them."""
