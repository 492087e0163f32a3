"""Importers, one file per format: each is a generator of (user, record) pairs.

A new format is a file with `read` and its `IMPORTER`, and a line in `IMPORTERS`.
"""

from penchant.history.importers.importer import Importer
from penchant.history.importers.registry import IMPORTERS, read_format

__all__ = ["IMPORTERS", "Importer", "read_format"]
