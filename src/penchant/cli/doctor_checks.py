"""What `penchant doctor` checks on the model itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from penchant.cli.output import NoStoreError, open_store
from penchant.compression.budget import count_tokens
from penchant.history.records import History, Record, Request
from penchant.index.attention import AttentionIndex
from penchant.lens.lens import Wanted
from penchant.lens.prefix import PrefixCache
from penchant.marking.registry import make_marker
from penchant.models.tokenization import opening_ids
from penchant.personalizer import Personalizer
from penchant.store import Store, default_store

#: Largest allowed difference between attention rows read in two ways, in probability.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}
_RECORDS = [
    "The ferry to the island leaves at a quarter past seven.",
    "My new bicycle is a green Tern with eight gears.",
    "Grandmother's soup needs two leeks and a spoon of mustard.",
    "The library is closed on Mondays until the roof is mended.",
    "I am allergic to walnuts, but almonds are fine.",
]


def checks(
    model: str, store: str | None, facts: dict[str, object]
) -> Iterator[tuple[str, Callable[[], tuple[bool, str]]]]:
    built: list[Personalizer] = []
    history = History([Record(text) for text in _RECORDS])
    request = "What am I allergic to?"

    def load() -> tuple[bool, str]:
        personalizer = Personalizer(model)
        built.append(personalizer)
        loaded = personalizer.loaded
        facts["model"] = {"name": loaded.name, "device": str(loaded.device), "dtype": str(loaded.dtype)}
        heads = " ".join(f"{layer}.{head}" for layer, head in personalizer.resources.calibration.heads)
        return True, f"{loaded.name}, {loaded.num_layers} layers, {loaded.device}, {loaded.dtype}, heads {heads}"

    def rows() -> tuple[bool, str]:
        lens = built[0].resources.lens
        ids = opening_ids(lens.loaded, " ".join(_RECORDS))
        layer = sorted(lens.layers)[len(lens.layers) // 2]
        wanted = Wanted(row_layers=frozenset({layer}), rows=(-1,))
        whole = lens.read(torch.tensor([ids]), wanted).rows[layer]
        cache = PrefixCache(lens, layer, block=16)
        cache.append(ids[:-8])
        apart = float((cache.read(ids[-8:], wanted).rows[layer] - whole).abs().max())
        return apart < TOLERANCE[lens.loaded.dtype], f"largest difference {apart:.1e} at layer {layer}"

    def appended() -> tuple[bool, str]:
        encoder = built[0].resources.indexes.encoder
        grown, built_anew = AttentionIndex(encoder), AttentionIndex(encoder)
        grown.sync(History(history.records[:3]))
        grown.sync(history)
        built_anew.sync(history)
        segments = built[0].segments(history)
        apart = float(
            np.abs(grown.score(history, segments, request)[0] - built_anew.score(history, segments, request)[0]).max()
        )
        return apart < 0.2, f"largest difference {apart:.1e} standard deviations"

    def marked() -> tuple[bool, str]:
        # By the heads alone as well: BM25 in the default marker finds this one whatever the model does.
        alone = make_marker("attention", built[0].resources)(history, Request(request), built[0].segments(history))
        both = alone, built[0].mark(history, request)
        best = [marks.segments[int(marks.ranked()[0])].text for marks in both]
        return all("walnuts" in text for text in best), f"top mark: {', '.join(dict.fromkeys(best))}"

    def budgets() -> tuple[bool, str]:
        tokenizer = built[0].loaded.tokenizer
        sizes = [count_tokens(tokenizer, built[0].compress(history, request, n).text) for n in (1, 5, 12, 30)]
        return all(
            size <= n for size, n in zip(sizes, (1, 5, 12, 30), strict=True)
        ), f"{sizes} of [1, 5, 12, 30] tokens"

    def erased() -> tuple[bool, str]:
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as trial:
            trial.add("a", history)
            trial.add("b", [Record("Nobody else wrote this sentence about the harbour at night.")])
            receipt = trial.forget("a")
            return trial.count("b") == 1, f"{receipt.records} records gone, the other user's kept"

    def opened() -> tuple[bool, str]:
        try:
            with open_store(store, create=False) as found:
                return True, f"{found.count():,} records in {found.place}"
        except NoStoreError:
            return True, f"none yet in {store or default_store()}"

    yield "the model loads, and its heads are calibrated", load
    if not built:
        return
    yield "attention read through a cache equals one joint pass", rows
    yield "an index that grew equals one built anew", appended
    yield "a planted fact is marked first", marked
    yield "no profile exceeds its budget", budgets
    yield "a forgotten user leaves nothing in the store", erased
    yield "the store opens", opened
