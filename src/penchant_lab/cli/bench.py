"""`penchant bench`: methods side by side on a data set."""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import typer
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from penchant.cli.options import ModelOption
from penchant.cli.output import JsonOption, emit, stderr, stdout_console, write_verbatim
from penchant.errors import InputError, PenchantError
from penchant.index.table import Storage
from penchant.lens.calibration import calibration_for, read_calibration, user_calibrations
from penchant.models.loading import LoadedModel, load_model
from penchant_lab.bench.items import Item, Part, limited
from penchant_lab.bench.journal import Journal, digest_of
from penchant_lab.bench.plan import Plan
from penchant_lab.bench.runner import Bench as Runner
from penchant_lab.cli.app import ABOUT
from penchant_lab.measures import scores
from penchant_lab.measures.held_out import newest_held_out
from penchant_lab.methods.registry import DEFAULTS, SLOW, BenchContext, check_names, make_method
from penchant_lab.tasks.registry import TASKS, find_task
from penchant_lab.tasks.task import Bench, Task

MAIN: dict[Bench, str] = {**dict.fromkeys(get_args(Bench), "fusion"), "steer": "ascent", "memory": "penchant"}
"""The method that is compared with all others."""
HELD_OUT = 4
"""How many of each user's newest texts `bench steer` asks for, in addition to the task's own question."""


def _command(kind: Bench) -> Callable[..., None]:
    tasks = [task for task in TASKS.values() if kind in task.benches]

    def run(
        ctx: typer.Context,
        *,
        data: Annotated[
            Path | None, typer.Option("--data", metavar="PATH", help="The data set, in its official layout.")
        ] = None,
        out: Annotated[
            Path, typer.Option("--out", metavar="DIR", help="Folder for results; an earlier run is continued.")
        ],
        task: Annotated[
            str | None, typer.Option("--task", metavar="NAME", help=f"One of {', '.join(one.name for one in tasks)}.")
        ] = tasks[0].name if len(tasks) == 1 else None,
        methods: Annotated[
            str | None,
            typer.Option(
                "--methods", metavar="NAMES", help=f"Separated by commas. Default: {','.join(DEFAULTS[kind])}."
            ),
        ] = None,
        budgets: Annotated[
            str | None,
            typer.Option("--budgets", metavar="LIST", help="Tokens or shares, as in 50,100,2%. Default: the task's."),
        ] = None,
        part: Annotated[str, typer.Option("--part", help="Users to measure on: test, tune or all.")] = "test",
        limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most items, evenly spread.")] = None,
        categories: Annotated[
            str | None,
            typer.Option("--categories", metavar="NAMES", help="Only items whose category begins with one of these."),
        ] = None,
        seeds: Annotated[str, typer.Option("--seeds", metavar="LIST", help="Seeds for everything random.")] = "0,1,2"
        if kind == "steer"
        else "0",
        held_out: Annotated[
            int,
            typer.Option(
                "--held-out",
                min=0,
                hidden=kind != "steer",
                help="How many of each user's newest texts to ask for as well.",
            ),
        ] = HELD_OUT if kind == "steer" else 0,
        cap: Annotated[
            str, typer.Option("--cap", metavar="NAME=N,...", help="Items for slow methods (NAME=all lifts a default).")
        ] = "",
        versus: Annotated[
            str | None,
            typer.Option("--versus", help=f"The method to compare all others with. Default: {MAIN[kind]}."),
        ] = None,
        model: ModelOption = "smollm2",
        device: Annotated[str | None, typer.Option("--device", help="cpu, cuda, mps. Default: the best.")] = None,
        dtype: Annotated[str | None, typer.Option("--dtype", help="Default: the device's.")] = None,
        calibration: Annotated[
            Path | None, typer.Option("--calibration", metavar="FILE", help="Default: the model's.")
        ] = None,
        storage: Annotated[
            str, typer.Option("--storage", help="Storage of the attention index: native or int8.")
        ] = "native",
        peers: Annotated[
            Path | None, typer.Option("--peers", metavar="DIR", help="Folder of peers. Default: the lab's.")
        ] = None,
        fresh: Annotated[bool, typer.Option("--fresh", help="Delete the results of an earlier run in --out.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        if task is None:
            raise InputError(f"which task? Name it with --task: one of {', '.join(one.name for one in tasks)}")
        chosen = find_task(task, kind)
        if data is None:
            if not chosen.in_code:
                raise InputError(f"task {chosen.name} needs its data set: name it with --data")
            data = Path(chosen.name)
        scores.check(chosen.metrics if kind != "mark" else ())
        names = _names(methods) if methods is not None else list(DEFAULTS[kind])
        check_names(names, peers, chosen.dialogues)
        caps = SLOW | _caps(cap)
        items = {seed: _items(chosen, data, part, seed) for seed in _numbers(seeds)}
        if held_out:
            items = {seed: newest_held_out(some, held_out) for seed, some in items.items()}
        if categories is not None:
            items = {seed: _of_categories(some, _names(categories)) for seed, some in items.items()}
        items = {seed: limited(some, limit) for seed, some in items.items()}
        if methods is None and not any(item.evidence for some in items.values() for item in some):
            names = [name for name in names if name != "gold"]
        loaded = load_model(model, device=device, dtype=dtype)
        context = BenchContext(
            loaded,
            max_new_tokens=chosen.max_new_tokens,
            calibration=read_calibration(calibration) if calibration else None,
            storage=_one_of(storage, Storage, "--storage"),
            task=chosen,
            data=data,
            peers=peers,
            items=items,
            say=lambda text: stderr.print(f"[dim]{text}[/]", highlight=False),
        )
        made = [make_method(name, context) for name in names]
        asked = _names(budgets) if budgets is not None else [chosen.budget]
        plan = Plan(chosen, items, made, asked, {k: v for k, v in caps.items() if v is not None}, kind != "mark")
        about = {
            "benchmark": kind,
            "part": part,
            "limit": limit,
            **({"categories": categories} if categories is not None else {}),
            "data": data.name,
            "calibration": _calibration_name(context),
        }
        setting = {
            "bench": kind,
            "task": chosen.name,
            "part": part,
            "data": digest_of(chosen.items(data, cast(Part, part), 0)),
            **({"held_out": held_out} if held_out else {}),
            "model": loaded.fingerprint,
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "device": loaded.device.type,
            "calibration": about["calibration"],
            "storage": storage,
        }
        journal = Journal(out, setting, fresh=fresh)
        _measure(plan, loaded, journal, _words(kind, ctx.params))
        # Imported only now: matplotlib and others take a second, which --help shouldn't.
        from penchant_lab.bench.document import make_document, write_document
        from penchant_lab.reports.markdown import markdown

        document = make_document(plan, journal, loaded, about, versus or (MAIN[kind] if MAIN[kind] in names else None))
        write_document(document, out)
        emit(document, as_json, lambda: _show(markdown(document)))
        failed = sum(row.error is not None for row in journal.rows.values())
        if failed:
            stderr.print(f"[red]{failed} rows failed; each says why in {journal.path}. Run again to try them again.[/]")
            raise typer.Exit(1)

    run.__doc__ = f"{ABOUT[kind]} Tasks: {', '.join(one.name for one in tasks)}."
    return run


mark = _command("mark")
compress = _command("compress")
title = _command("title")
rating = _command("rating")
preference = _command("preference")
memory = _command("memory")
steer = _command("steer")


def _show(report: str) -> None:
    """Print a report in Markdown: laid out on a terminal, as it is into a file."""
    console = stdout_console()
    if console.is_terminal:
        console.print(Markdown(report))
    else:
        write_verbatim(report)


def _measure(plan: Plan, loaded: LoadedModel, journal: Journal, command: str) -> None:
    keys = [key for method in plan.methods for key in plan.keys(method)]
    open_keys = [key for key in keys if not journal.done(key)]
    columns = [
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    ]  # fmt: skip
    began, told = time.perf_counter(), {"": 0}
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("", total=len(open_keys))

        def progress(method: str, count: int) -> None:
            bar.update(task, description=method, advance=count)
            told[method] = told.get(method, 0) + count
            if not stderr.is_terminal:  # in a log: one line per chunk, to show progress
                stderr.print(f"{time.perf_counter() - began:8.1f} s  {method}: {told[method]}", highlight=False)

        runner = Runner(plan, loaded, journal, progress)
        runner.check()
        if open_keys:
            journal.ran(command)
        runner.run()


def _items(task: Task, data: Path, part: str, seed: int) -> list[Item]:
    items = task.items(data, _one_of(part, Part, "--part"), seed)
    if not items:
        raise InputError(f"{data} has no items of part {part!r} for task {task.name}: try --part all")
    return items


def _of_categories(items: list[Item], names: Sequence[str]) -> list[Item]:
    found = [item for item in items if item.category.startswith(tuple(names))]
    if not found:
        known = ", ".join(sorted({item.category for item in items}))
        raise InputError(f"no item has a category that begins with {' or '.join(names)}: expected some of {known}")
    return found


def _calibration_name(context: BenchContext) -> str | None:
    try:
        return (context.calibration or calibration_for(context.loaded, user_calibrations())).name
    except PenchantError:  # a model without one can still be measured with methods that need none
        return None


def _words(kind: Bench, params: Mapping[str, Any]) -> str:
    """Return the command line with file names instead of paths, since results are published."""
    words = ["penchant", "bench", kind]
    for name, value in params.items():
        option = f"--{name.replace('_', '-')}"
        if name in ("as_json", "fresh", "out") or value in (None, "", False):
            continue
        words += [option, Path(value).name if isinstance(value, Path) or name == "model" else str(value)]
    return shlex.join(words)


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise InputError(f"{text!r}: expected at least one name, several separated by commas")
    return names


def _numbers(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise InputError(f"--seeds {text!r}: expected whole numbers separated by commas, as in 0,1,2") from None


def _caps(text: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.partition("=")
        if number != "all" and not (number.isdigit() and int(number) > 0):
            raise InputError(f"--cap {part!r}: expected NAME=N with N from 1, or NAME=all")
        found[name] = None if number == "all" else int(number)
    return found


def _one_of(text: str, kinds: Any, option: str) -> Any:
    allowed: Sequence[str] = get_args(kinds)
    if text not in allowed:
        raise InputError(f"{option} {text!r}: expected one of {', '.join(allowed)}")
    return cast(Literal["native"], text)
