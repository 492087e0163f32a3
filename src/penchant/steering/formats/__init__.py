"""Vectors in and out, one file per format."""

from penchant.steering.formats.exported import Export
from penchant.steering.formats.registry import export, formats, read

__all__ = ["Export", "export", "formats", "read"]
