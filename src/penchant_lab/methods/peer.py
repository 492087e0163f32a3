"""Methods implemented by peers (penchant_lab/peers), with the same model, dtype and threads."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from penchant.compression.budget import count_tokens
from penchant.compression.layout import lay_out
from penchant.compression.prompt import answer_messages
from penchant.errors import InputError, ModelError
from penchant.history.records import History, Request, Segment
from penchant.history.segmentation import segment
from penchant.inference.stopping import cut_answer, end_tokens
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.progress import no_bars
from penchant.models.tokenization import continuation_ids, prompt_ids, prompt_offsets
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes, Reply, Session
from penchant_lab.methods.references import full
from penchant_lab.peers.client import Peer, PeerFolder, PeerMethod, find_peers

#: How many of the last tokens SnapKV looks from, as published.
SNAPKV_WINDOW = 64
Open = Callable[[History, Sequence[Segment], int], AbstractContextManager[Session]]
_MARK = "\N{ASTERISM}"


def peer_names(folder: str | Path | None = None) -> dict[str, str]:
    """Return the peers' methods, with a line about each; nothing is started. Raises as `find_peers`."""
    return {name: way.about for peer in find_peers(folder).values() for name, way in peer.methods.items()}


def check_peers(names: Sequence[str], folder: str | Path | None = None) -> None:
    """Raise `ModelError` if one of the named methods belongs to a peer without an environment."""
    for peer in find_peers(folder).values():
        if not peer.methods.keys().isdisjoint(names):
            peer.check()


class Peers:
    """The peers' methods on one model, in `methods` by name. Each peer has one worker for all of its methods, started
    when the first of them is asked; workers end with `close`, with this object, or with this process.

    max_new_tokens: how much the methods that answer themselves generate. folder: see `find_peers`, which says what is
    raised. Opening a method raises `ModelError` when the peer's environment isn't made, or for a model that isn't on
    the CPU.
    """

    def __init__(self, loaded: LoadedModel, max_new_tokens: int = 0, folder: str | Path | None = None) -> None:
        self._weights = _Weights(loaded)
        self._workers: list[_Lazy] = []
        self.methods: dict[str, Method] = {}
        for peer_folder in find_peers(folder).values():
            worker = _Lazy(peer_folder, self._weights)
            self._workers.append(worker)
            for name, way in peer_folder.methods.items():
                session: Open = partial(_text, worker=worker, loaded=loaded, way=way)
                if peer_folder.kind == "cache":
                    shown = full(loaded, max_new_tokens)
                    session = partial(
                        _cache, worker=worker, loaded=loaded, way=way, shown=shown, max_new_tokens=max_new_tokens
                    )
                self.methods[name] = Method(name, session, way.about)

    def __enter__(self) -> Peers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._weights.close()


@contextmanager
def _text(
    history: History, segments: Sequence[Segment], seed: int, *, worker: _Lazy, loaded: LoadedModel, way: PeerMethod
) -> Iterator[Session]:
    worker.check()
    yield _Text(worker, loaded, way, history)


@contextmanager
def _cache(
    history: History,
    segments: Sequence[Segment],
    seed: int,
    *,
    worker: _Lazy,
    loaded: LoadedModel,
    way: PeerMethod,
    shown: Method,
    max_new_tokens: int,
) -> Iterator[Session]:
    worker.check()
    with shown.open(history, segments, seed) as session:
        yield _Cache(worker, loaded, way, session, max_new_tokens)


class _Weights:
    """The model directory that the workers read, written on first use."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._folder: str | None = None
        self._remove: weakref.finalize[..., _Weights] | None = None

    def load(self) -> dict[str, Any]:
        """What a worker is sent first."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="penchant-peers-")
            self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            save_plain(self.loaded, Path(self._folder))
        dtype = str(self.loaded.dtype).removeprefix("torch.")
        return {"model": self._folder, "dtype": dtype, "threads": torch.get_num_threads()}

    def check(self) -> None:
        if self.loaded.device.type != "cpu":
            raise ModelError(f"peers run on the CPU, the model is on {self.loaded.device}: pass --device cpu")

    def close(self) -> None:
        if self._remove is not None:
            self._remove()
        self._folder = None


class _Lazy:
    """A peer whose worker is set up at the first request."""

    def __init__(self, peer_folder: PeerFolder, weights: _Weights) -> None:
        self.peer_folder, self._weights = peer_folder, weights
        self._peer: Peer | None = None

    def check(self) -> None:
        self.peer_folder.check()
        self._weights.check()

    def ask(self, op: str, **payload: Any) -> dict[str, Any]:
        if self._peer is None:
            self._peer = Peer(self.peer_folder, self._weights.load())
        return self._peer.ask(op, **payload)

    def close(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()


def save_plain(loaded: LoadedModel, folder: Path) -> None:
    """Write the model for other programs. The lens puts the name of its attention function into the config, which no
    other program knows.
    """
    attention = loaded.model.config._attn_implementation
    try:
        loaded.model.set_attn_implementation("sdpa")
        with no_bars():
            loaded.model.save_pretrained(folder)
    finally:
        loaded.model.set_attn_implementation(attention)
    loaded.tokenizer.save_pretrained(folder)


class _Text:
    """A peer that turns the history into a text: it gets one passage per record, under its day, with its label.

    Its output is used unchanged, even if it exceeds the budget.
    """

    def __init__(self, worker: _Lazy, loaded: LoadedModel, way: PeerMethod, history: History) -> None:
        self.worker, self.loaded, self.way = worker, loaded, way
        self.passages = [lay_out(history, [piece]) for piece in segment(history, "record")]

    def notes(self, item: Item, budget: int) -> Notes:
        request = {"question": item.request.query, "task": item.request.task or ""}
        answer = self.worker.ask("compress", passages=self.passages, budget=budget, **request, **self.way.options)
        text = str(answer["text"]).strip() or None
        tokens = count_tokens(self.loaded.tokenizer, text or "")
        return Notes(text, tokens, tokens_fed=int(answer["tokens_fed"]), seconds=float(answer["seconds"]))

    def stored_bytes(self) -> int:
        return 0


class _Cache:
    """A peer that answers from a cut cache of the full history, as much of it as the method "full" shows.

    Budget: key-value pairs a layer and head, of all that stands before the end of the notes. Unaware of the question,
    that part is read and cut once, for all requests that see the same history; question and answer are read behind it.
    Aware, the question's pairs come on top of the budget, and what stands behind the question (the head of the answer)
    is read from the cut cache, as a long answer would be.
    """

    def __init__(
        self, worker: _Lazy, loaded: LoadedModel, way: PeerMethod, shown: Session, max_new_tokens: int
    ) -> None:
        self.worker, self.loaded, self.way = worker, loaded, way
        self.shown, self.max_new_tokens = shown, max_new_tokens
        self._prepared: dict[tuple[int, tuple[int, ...]], int] = {}

    def notes(self, item: Item, budget: int) -> Notes:
        shown = self.shown.notes(item, budget)
        if not shown.text:
            raise InputError("no record of the history fits the window beside the request: shorten the request")
        parts = split_prompt(self.loaded, shown.text, item.request)
        asked = len(parts.question) if self.way.aware else 0
        context = parts.notes + parts.question if self.way.aware else parts.notes
        after = parts.answer if self.way.aware else parts.question + parts.answer
        answer = self.worker.ask(
            "read",
            context=context,
            after=after,
            continuations=[continuation_ids(self.loaded, text) for text in item.choices or (item.answer,)],
            max_new_tokens=self.max_new_tokens,
            end=sorted(end_tokens(self.loaded)),
            budget=budget + asked,
            window=self._window(budget, asked),
            **self.way.options,
        )
        key = (budget, tuple(context))
        # The worker keeps a pass for other budgets and methods; here it counts where this method alone had needed it.
        cold = self.way.aware or key not in self._prepared
        self._prepared[key] = int(answer["stored_bytes"])
        text = str(self.loaded.tokenizer.decode(answer["ids"], skip_special_tokens=True))
        reply = Reply(
            tuple(answer["nlls"]),
            tuple(answer["lengths"]),
            cut_answer(self.loaded, text),
            int(answer["tokens_read"]),
        )
        return Notes(
            None,
            max(0, round(answer["kept_pairs"]) - asked),
            tokens_fed=len(context) if cold else 0,
            seconds=float(answer["prepare_seconds"]) if cold else 0.0,
            kept=shown.kept,
            reply=reply,
        )

    def stored_bytes(self) -> int:
        """The largest cut cache that serves further requests."""
        return 0 if self.way.aware else max(self._prepared.values(), default=0)

    @staticmethod
    def _window(budget: int, asked: int) -> int:
        """Return SnapKV's window, all of which it keeps: at most half the budget, or exactly the question if it sees
        it.
        """
        return min(SNAPKV_WINDOW, asked or max(1, budget // 2))


@dataclass(frozen=True)
class Parts:
    """The tokens of a prompt: up to the end of the notes, then up to the end of the request, then the rest."""

    notes: list[int]
    question: list[int]
    answer: list[int]


def split_prompt(loaded: LoadedModel, notes: str, request: Request) -> Parts:
    """The prompt that every other method's notes stand in, cut behind the notes and behind the request. A token over a
    cut belongs to what follows, and the last part has at least one token. Raises as `prompt_ids`."""
    prompt = render_chat(loaded, answer_messages(notes, request))
    behind = render_chat(loaded, answer_messages(_MARK, request)).partition(_MARK)[2]
    probe = Request(_MARK, request.task)
    last = render_chat(loaded, answer_messages("x", probe)).rpartition(_MARK)[2]
    if not behind or not prompt.endswith(behind) or not behind.endswith(last):
        raise ModelError(f"the chat template of {loaded.name} rewrites what it is given: expected it verbatim")
    ids = prompt_ids(loaded, prompt)
    ends = [end for _, end in prompt_offsets(loaded, prompt)]
    first = _before(ends, len(prompt) - len(behind))
    second = min(max(first, _before(ends, len(prompt) - len(last))), len(ids) - 1)
    return Parts(ids[:first], ids[first:second], ids[second:])


def _before(ends: Sequence[int], position: int) -> int:
    """Count the tokens that end at or before a character."""
    return next((number for number, end in enumerate(ends) if end > position), len(ends))
