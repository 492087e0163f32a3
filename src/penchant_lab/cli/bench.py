"""`penchant bench`: methods side by side on a data set. What runs them is imported when they run (`bench_run`)."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, get_args

import typer

from penchant.cli.options import ModelOption
from penchant.cli.output import JsonOption
from penchant.errors import InputError
from penchant_lab.bench.results import check_folder
from penchant_lab.cli.app import ABOUT
from penchant_lab.cli.published import command_line
from penchant_lab.methods.defaults import DEFAULTS
from penchant_lab.tasks.registry import TASKS
from penchant_lab.tasks.task import Bench

MAIN: dict[Bench, str] = {**dict.fromkeys(get_args(Bench), "fusion"), "steer": "ascent", "memory": "penchant"}
"""The method that is compared with all others."""
HELD_OUT = 4
"""How many of each user's newest texts `bench steer` asks for, in addition to the task's own question."""


def _command(kind: Bench) -> Callable[..., None]:
    tasks = [task for task in TASKS.values() if kind in task.benches]
    published = [task.name for task in tasks if task.name != "own"]

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
        ] = published[0] if len(published) == 1 else None,
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
        max_tokens: Annotated[
            int | None,
            typer.Option(
                "--max-tokens",
                min=1,
                metavar="N",
                hidden=kind == "mark",
                help="Longest answer, in tokens. Default: the task's.",
                show_default=False,
            ),
        ] = None,
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
        check_folder(out)
        from penchant_lab.cli.bench_run import BenchOptions, run_bench

        options = BenchOptions(
            task=task,
            data=data,
            out=out,
            methods=methods,
            budgets=budgets,
            part=part,
            limit=limit,
            categories=categories,
            seeds=seeds,
            held_out=held_out,
            cap=cap,
            versus=versus,
            main=MAIN[kind],
            model=model,
            max_tokens=max_tokens,
            calibration=calibration,
            storage=storage,
            peers=peers,
            fresh=fresh,
            command=command_line(f"bench {kind}", ctx.params),
        )
        run_bench(kind, options, as_json=as_json)

    run.__doc__ = f"{ABOUT[kind]} Tasks: {', '.join(one.name for one in tasks)}."
    return run


mark = _command("mark")
compress = _command("compress")
title = _command("title")
rating = _command("rating")
preference = _command("preference")
memory = _command("memory")
steer = _command("steer")
