"""Interventions: edits of a forward pass at named sites, with separate vectors for every row of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.errors import InputError
from penchant.inference.sites import Site

AFTER_PROMPT, ALL = "after_prompt", "all"
"""Scopes, which say which tokens of a row are written to. after_prompt: what follows the prompt (the prompt's keys and
values stay as they are, so a cached prefix stays valid). all: every token. "last_4": the prompt's last four tokens and
what follows them; the first token of an answer is predicted at the prompt's last one."""


def prompt_tail(scope: str) -> int | None:
    """Return how many of a prompt's last tokens a scope includes; None: all. Raises `InputError` for an unknown
    scope.
    """
    if scope in (AFTER_PROMPT, ALL):
        return 0 if scope == AFTER_PROMPT else None
    name, _, count = scope.partition("_")
    if name != "last" or not count.isdecimal():
        raise InputError(f"scope {scope!r}: expected {AFTER_PROMPT}, {ALL}, or the prompt's last tokens: last_1")
    return int(count)


@dataclass(frozen=True)
class Edit:
    """h' = h * scale + add, at one site.

    add: float [rows, width]; None: nothing is added. scale: float [rows, width]; None: 1 everywhere.
    """

    add: Float[Tensor, "rows width"] | None = None
    scale: Float[Tensor, "rows width"] | None = None


@dataclass(frozen=True)
class Intervention:
    """Edits for a batch: a mapping from site to `Edit`, all with the same number of rows.

    The caller's tensors are never changed. Raises `InputError` for different row counts or an unknown scope.
    """

    edits: Mapping[Site, Edit] = field(default_factory=dict)
    scope: str = AFTER_PROMPT

    def __post_init__(self) -> None:
        prompt_tail(self.scope)
        object.__setattr__(self, "edits", dict(self.edits))  # the caller may change its tensors later
        if odd := [list(tensor.shape) for tensor in self._tensors() if tensor.dim() != 2]:
            raise InputError(f"a tensor of shape {odd[0]} in an intervention: expected [rows, width]")
        if len(found := {tensor.shape[0] for tensor in self._tensors()}) > 1:
            raise InputError(f"an intervention with {sorted(found)} rows: expected the same number at every site")

    @property
    def rows(self) -> int:
        return next((tensor.shape[0] for tensor in self._tensors()), 0)

    def times(self, strength: float) -> Intervention:
        """Return the intervention scaled by `strength`: add * strength, and 1 + (scale - 1) * strength."""
        return replace(
            self,
            edits={
                site: Edit(
                    None if edit.add is None else edit.add * strength,
                    None if edit.scale is None else 1 + (edit.scale - 1) * strength,
                )
                for site, edit in self.edits.items()
            },
        )

    def take(self, rows: Sequence[int]) -> Intervention:
        """Return the rows at these positions, in that order."""
        return replace(
            self,
            edits={
                site: Edit(*(None if one is None else one[list(rows)] for one in (edit.add, edit.scale)))
                for site, edit in self.edits.items()
            },
        )

    def _tensors(self) -> list[Tensor]:
        return [tensor for edit in self.edits.values() for tensor in (edit.add, edit.scale) if tensor is not None]


def stack(interventions: Sequence[Intervention | None]) -> Intervention | None:
    """Combine interventions of single rows into one for a batch (None: that row is unchanged); None if all are None.

    Rows may differ in their sites. Raises `InputError` if they differ in scope, or in the width of a site.
    """
    given = [one for one in interventions if one is not None and one.rows]
    if not given:
        return None
    if len(scopes := {one.scope for one in given}) > 1:
        raise InputError(f"rows with different scopes ({', '.join(sorted(scopes))}): expected one scope for a batch")
    edits = {}
    for site in sorted({site for one in given for site in one.edits}):
        chosen = [None if one is None else one.edits.get(site) for one in interventions]
        counts = [1 if one is None or not one.rows else one.rows for one in interventions]
        edits[site] = Edit(
            _column([None if one is None else one.add for one in chosen], counts, 0.0),
            _column([None if one is None else one.scale for one in chosen], counts, 1.0),
        )
    return Intervention(edits, given[0].scope)


def _column(parts: Sequence[Tensor | None], counts: Sequence[int], neutral: float) -> Tensor | None:
    known = next((part for part in parts if part is not None), None)
    if known is None:
        return None
    if len(widths := {part.shape[1] for part in parts if part is not None}) > 1:
        raise InputError(f"rows with {sorted(widths)} numbers at one site: expected vectors of the same model")
    empty = known.new_full((1, known.shape[1]), neutral)
    return torch.cat(
        [empty.expand(count, -1) if part is None else part for part, count in zip(parts, counts, strict=True)]
    )
