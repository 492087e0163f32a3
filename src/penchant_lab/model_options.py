"""Options of measurements that run a model (the modules of the lab that are commands): those of Penchant's commands."""

from __future__ import annotations

import argparse
from pathlib import Path

from penchant.models.model_name import ModelName

_HOW = ("device", "dtype", "adapter", "trust_remote_code")


def add_model_options(parser: argparse.ArgumentParser, default: str | None = "smollm2", help: str = "") -> None:
    """Add --model, and how it is loaded. default: None for a measurement that can do without. help: of --model."""
    parser.add_argument("--model", metavar="M", default=default, help=help or f"default: {default}")
    parser.add_argument("--device", metavar="D", help="where the model runs: cpu, cuda, mps; default: the fastest")
    parser.add_argument("--dtype", metavar="D", help="its number format; default: the device's")
    parser.add_argument("--adapter", metavar="DIR", type=Path, help="apply the LoRA adapter in this directory")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code that the model brings along")


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the options; `model` carries how it is loaded."""
    options = parser.parse_args()
    if options.model is not None:
        options.model = ModelName(options.model, **{name: getattr(options, name) for name in _HOW})
    return options
