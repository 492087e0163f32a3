"""`penchant mark`, `compress` and `ask`: the commands for one request."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from penchant.cli.endpoint import (
    REMOTE,
    EndpointKeyOption,
    EndpointModelOption,
    EndpointOption,
    EndpointTimeoutOption,
    RewritingEndpointOption,
    chosen_endpoint,
    compressing,
    only_local,
    served_document,
    tell_what_leaves,
)
from penchant.cli.options import (
    BudgetOption,
    CompressorOption,
    DatesOption,
    HistoryOption,
    MarkerOption,
    MaxTokensOption,
    ModelOption,
    RequestArgument,
    RequestOption,
    SeedOption,
    TaskOption,
    TemperatureOption,
    UnitOption,
    UserOption,
    check_temperature,
)
from penchant.cli.output import (
    JsonOption,
    StoreOption,
    check_file,
    emit,
    encoding_bar,
    open_store,
    stderr,
    write_text,
    write_verbatim,
)
from penchant.cli.request_views import (
    date_document,
    profile_document,
    segment_document,
    show_marks,
    show_sources,
    summary,
    warn_of_fallback,
)
from penchant.cli.streams import stdout
from penchant.compression.registry import COMPRESSORS, DEFAULT_BUDGET, DEFAULT_COMPRESSOR
from penchant.errors import InputError
from penchant.folders import cache_folder
from penchant.hints import command, history_file
from penchant.history.records import History, Request
from penchant.marking.registry import DEFAULT_MARKER, MARKERS
from penchant.steering.methods.registry import EMPHASIS, VECTOR_METHODS
from penchant.text.unicode import sanitize

if TYPE_CHECKING:
    from penchant.answers import Answer
    from penchant.asked import Knowledge
    from penchant.inference.intervention import Intervention
    from penchant.personalizer import Personalizer


def mark(
    asked: RequestArgument = None,
    *,
    request: RequestOption = None,
    user: UserOption = None,
    history: HistoryOption = None,
    task: TaskOption = None,
    model: ModelOption = "smollm2",
    marker: MarkerOption = DEFAULT_MARKER,
    dates: DatesOption = True,
    unit: UnitOption = "auto",
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a heat map of the history.", show_default=False)
    ] = None,
    budget: BudgetOption = DEFAULT_BUDGET,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score what matters in a history for a request; --html writes a page to look at."""
    wanted = _request(asked, request, task)
    check_file(html)
    runs = {"model": model, "marker": marker, "dates": dates, "unit": unit}
    with prepared(user, history, store, **runs) as (personalizer, who):
        marks = personalizer.mark(who, wanted)
        if html is not None:
            profile = personalizer.compress(who, wanted, budget)
            from penchant.marking.heatmap import heatmap_html

            write_text(html, heatmap_html(personalizer.history(who), wanted, marks, profile))
    document = {
        "segments": [
            segment_document(segment, score)
            for segment, score in zip(marks.segments, marks.scores.tolist(), strict=True)
        ],
        "marker": marks.marker,
        "heads": [list(head) for head in marks.heads],
        "layers_run": marks.layers_run,
        "calibration": marks.calibration,
        "dates": [date_document(one) for one in marks.dates],
        "history_tokens": marks.history_tokens,
        "tokens_fed": marks.tokens_fed,
        "seconds": {"encode": 0.0, "mark": 0.0, **marks.seconds},  # a marker without an index encodes nothing
        "html": None if html is None else str(html),
    }
    emit(document, as_json, lambda: show_marks(marks, html))


def compress(
    asked: RequestArgument = None,
    *,
    request: RequestOption = None,
    budget: BudgetOption = DEFAULT_BUDGET,
    user: UserOption = None,
    history: HistoryOption = None,
    task: TaskOption = None,
    model: ModelOption = "smollm2",
    marker: MarkerOption = DEFAULT_MARKER,
    dates: DatesOption = True,
    compressor: CompressorOption = "extractive",
    unit: UnitOption = "auto",
    endpoint: RewritingEndpointOption = None,
    endpoint_model: EndpointModelOption = None,
    endpoint_key_env: EndpointKeyOption = None,
    endpoint_timeout: EndpointTimeoutOption = 60.0,
    faithful: Annotated[
        bool,
        typer.Option(
            "--faithfulness", help="Compare the next-token distribution with that of the full history (slow)."
        ),
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a profile of at most --budget tokens for a request."""
    wanted = _request(asked, request, task)
    runs = {"model": model, "marker": marker, "dates": dates, "unit": unit}
    if compressor != REMOTE and (endpoint or endpoint_model):
        raise InputError("--endpoint and --endpoint-model are for --compressor remote: add it, or leave them out")
    used = None
    if compressor == REMOTE:
        used = chosen_endpoint(endpoint, endpoint_model, endpoint_key_env, endpoint_timeout)
    with prepared(user, history, store, **runs, **compressing(compressor, used)) as opened:
        tell_what_leaves(used, what="the request and the marked history")
        personalizer, who = opened
        profile = personalizer.compress(who, wanted, budget)
        document = profile_document(profile)
        if faithful:
            from penchant.compression.faithfulness import faithfulness

            report = faithfulness(personalizer.loaded, personalizer.history(who), wanted, profile, answer_tokens=8)
            document["faithfulness"] = {**asdict(report), "share_kept": report.share_kept}

    def show() -> None:
        write_verbatim(profile.text)
        stderr.print(f"[dim]{summary(profile)}[/]")
        if faithful:
            stderr.print(escape(str(report)), highlight=False)

    emit(document, as_json, show)
    warn_of_fallback(profile)


def ask(
    asked: RequestArgument = None,
    *,
    request: RequestOption = None,
    user: UserOption = None,
    history: HistoryOption = None,
    task: TaskOption = None,
    model: ModelOption = "smollm2",
    marker: MarkerOption = DEFAULT_MARKER,
    dates: DatesOption = True,
    compressor: CompressorOption = "extractive",
    unit: UnitOption = "auto",
    budget: BudgetOption = DEFAULT_BUDGET,
    no_profile: Annotated[bool, typer.Option("--no-profile", help="Answer without any knowledge of the user.")] = False,
    full_history: Annotated[
        bool, typer.Option("--full-history", help="Answer from as much of the history as fits the window.")
    ] = False,
    steer: Annotated[
        str | None,
        typer.Option(
            "--steer",
            metavar="METHOD",
            help=f"Steer the model: {', '.join([*VECTOR_METHODS, EMPHASIS])}. Vectors need {command('steer fit')}.",
            show_default=False,
        ),
    ] = None,
    steer_file: Annotated[
        Path | None,
        typer.Option("--steer-file", metavar="FILE", help="Steer with the vectors in a file.", show_default=False),
    ] = None,
    max_tokens: MaxTokensOption = 128,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = None,
    endpoint_key_env: EndpointKeyOption = None,
    endpoint_timeout: EndpointTimeoutOption = 60.0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a request personally, and say what the answer is based on."""
    if no_profile and full_history:
        raise InputError("--no-profile and --full-history exclude each other: choose one")
    if steer is not None and steer_file is not None:
        raise InputError("--steer and --steer-file exclude each other: choose one")
    check_temperature(temperature)
    knowledge: Knowledge = "none" if no_profile else "full" if full_history else "profile"
    wanted = _request(asked, request, task)
    runs: dict[str, Any] = {
        "model": model,
        "marker": marker,
        "dates": dates,
        "unit": unit,
    }
    answering = chosen_endpoint(endpoint, endpoint_model, endpoint_key_env, endpoint_timeout)
    only_local(answering, steer=steer, steer_file=steer_file)
    runs |= {"endpoint": answering, **compressing(compressor, answering)}
    with prepared(user, history, store, **runs) as opened:
        tell_what_leaves(answering)
        personalizer, who = opened
        written: str | Intervention | None = steer
        if steer_file is not None:
            from penchant.steering.formats import read

            written = read(steer_file, model=personalizer.loaded)
        stream = personalizer.stream(
            who,
            wanted,
            knowledge=knowledge,
            steer=written,
            budget=budget,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
        )
        answer = spoken(stream, aloud=not as_json)
        marked_by = personalizer.loaded.name
    document = {
        "answer": answer.text,
        **served_document(answer.served, marked_by),
        "marking_model": marked_by,
        "finish": answer.finish,
        "reasoning": answer.reasoning or None,
        "profile": None if answer.profile is None else profile_document(answer.profile),
        "knowledge": knowledge,
        "prompt_tokens": answer.prompt_tokens,
        "dropped_records": answer.dropped_records,
        "steering": None if answer.steering is None else answer.steering.as_dict(),
        "seconds": {
            **({} if answer.profile is None else profile_document(answer.profile)["seconds"]),
            **answer.seconds,
        },
    }
    emit(document, as_json, lambda: show_sources(answer))
    if answer.profile is not None:
        warn_of_fallback(answer.profile)


def _request(argument: str | None, option: str | None, task: str | None) -> Request:
    """Return the request, given either way. Raises `InputError` for none, for both, and for an empty one."""
    if (argument is None) == (option is None):
        raise InputError('expected one request, as an argument or as --request: "Who is my dentist?"')
    return Request(argument if argument is not None else str(option), task)


@contextmanager
def prepared(
    user: str | None, history: Path | None, store: str | None, **options: Any
) -> Iterator[tuple[Personalizer, History]]:
    """Return a personalizer, and the history of a stored user or of a file. Raises `InputError` for neither or both."""
    if (user is None) == (history is None):
        raise InputError("expected exactly one of --user ID (of the store) and --history FILE (JSON Lines)")
    MARKERS.check(options["marker"])
    COMPRESSORS.check(options.get("compressor", DEFAULT_COMPRESSOR))
    # What may be wrong is looked at first: importing the model's libraries takes seconds.
    if history is not None:
        from penchant.history.jsonl import load_history

        # The index of a file is kept in the cache, under the file's name: a second request is warm.
        who = load_history(history, user=_file_user(history))
        folders: dict[str, Any] = {"directory": _cached("indexes"), "steering_directory": _cached("steering")}
        with history_file(history), _personalizer(**folders, **options) as personalizer:
            yield personalizer, who
        return
    with open_store(store, create=False) as opened:
        opened.revision(str(user))  # raises for an unknown user
        with _personalizer(store=opened, **options) as personalizer:
            yield personalizer, personalizer.history(str(user))


@contextmanager
def _personalizer(*, model: str, **options: Any) -> Iterator[Personalizer]:
    from penchant.personalizer import Personalizer

    with encoding_bar() as encoded:
        yield Personalizer(model, progress=encoded, **options)


def _file_user(path: Path) -> str:
    """Return a name for a file's history that is unique to the file but reveals no folder to readers of the page."""
    return f"{path.name} ({hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]})"


def _cached(area: str) -> Callable[[str], Path]:
    return lambda user: cache_folder() / area / hashlib.sha256(user.encode()).hexdigest()


def spoken(stream: Iterator[str | Answer], aloud: bool) -> Answer:
    """Return the answer at the end of a stream; `aloud` prints its pieces as they come."""
    for piece in stream:
        if not isinstance(piece, str):
            return piece
        if aloud:
            stdout().write(sanitize(piece))
            stdout().flush()
    raise RuntimeError("a stream of pieces ended without its answer")
