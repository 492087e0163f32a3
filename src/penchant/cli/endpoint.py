"""The options of commands that let an endpoint answer or rewrite."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from penchant.cli.output import stderr
from penchant.errors import InputError
from penchant.text.unicode import sanitize

if TYPE_CHECKING:
    from penchant.inference.endpoint import Endpoint, Served

URL_VARIABLE = "PENCHANT_ENDPOINT"
MODEL_VARIABLE = "PENCHANT_ENDPOINT_MODEL"
REMOTE = "remote"
"""The compressor that needs an endpoint."""

EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help=f"Let the model at this OpenAI-compatible base URL answer; --model still marks. Default: ${URL_VARIABLE}; "
        "an empty URL: the local model.",
        show_default=False,
    ),
]
RewritingEndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help=f"OpenAI-compatible base URL (compressor remote). Default: ${URL_VARIABLE}.",
        show_default=False,
    ),
]
EndpointModelOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint-model",
        metavar="NAME",
        help=f"The model to use there. Default: ${MODEL_VARIABLE}.",
        show_default=False,
    ),
]
EndpointKeyOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint-key-env",
        metavar="VARIABLE",
        help="The environment variable that holds the key. Default: OPENAI_API_KEY, if it is set.",
        show_default=False,
    ),
]
EndpointTimeoutOption = Annotated[
    float, typer.Option("--endpoint-timeout", metavar="SECONDS", help="How long the endpoint may be silent.")
]


def chosen_endpoint(url: str | None, model: str | None, key_variable: str | None, timeout: float) -> Endpoint | None:
    """Return the endpoint that options or the environment name, if any. Raises `InputError` for one half of it, a key
    that isn't there, and as `Endpoint`.
    """
    url = os.environ.get(URL_VARIABLE, "") if url is None else url
    named = model is not None or key_variable is not None
    if not url:
        if named:
            raise InputError(f"--endpoint-model and --endpoint-key-env need --endpoint URL (or ${URL_VARIABLE})")
        return None
    model = os.environ.get(MODEL_VARIABLE, "") if model is None else model
    if not model:
        raise InputError(f"an endpoint needs a model's name: expected --endpoint-model NAME (or ${MODEL_VARIABLE})")
    key = None if key_variable is None else os.environ.get(key_variable)
    if key_variable is not None and not key:
        raise InputError(f"--endpoint-key-env {key_variable}: expected an environment variable that holds a key")
    from penchant.inference.endpoint import Endpoint

    return Endpoint(url, model, api_key=key, timeout=timeout)


def compressing(compressor: str, endpoint: Endpoint | None) -> dict[str, Any]:
    """Return a compressor and its options, for a `Personalizer`. Raises `InputError` if it lacks an endpoint."""
    if compressor != REMOTE:
        return {"compressor": compressor}
    if endpoint is None:
        raise InputError("--compressor remote needs an endpoint: expected --endpoint URL and --endpoint-model NAME")
    options = {
        "base_url": endpoint.base_url,
        "endpoint_model": endpoint.model,
        "api_key": endpoint.api_key,
        "timeout": endpoint.timeout,
    }
    return {"compressor": compressor, "options": options}


def only_local(endpoint: Endpoint | None, **asked: object) -> None:
    """Raise `InputError` for options that change the answering model itself, which an endpoint's can't be."""
    for option, value in asked.items():
        if endpoint is not None and value:
            raise InputError(
                f"--{option.replace('_', '-')} changes the local model, and {endpoint.model} at {endpoint.base_url} is "
                f"to answer: leave it out, or answer locally (--endpoint '')"
            )


def tell_what_leaves(endpoint: Endpoint | None, *, what: str = "your requests, and what is known about you,") -> None:
    """Say on stderr that something leaves this machine, and where it goes."""
    if endpoint is not None and not endpoint.loopback:
        plain = ", unencrypted" if endpoint.base_url.startswith("http://") else ""
        line = f"{what} are sent to {endpoint.base_url}{plain}"
        stderr.print(f"[yellow]{escape(sanitize(line))}[/]", highlight=False, soft_wrap=True)


def served_document(served: Served | None, local: str) -> dict[str, Any]:
    """Return which model answered. local: the name of the local one."""
    if served is None:
        return {"model": local, "endpoint": None, "usage": None}
    usage = served.usage
    counted = {"prompt_tokens": usage.prompt, "cached_tokens": usage.cached, "answer_tokens": usage.answer}
    return {"model": served.model, "endpoint": served.base_url, "usage": counted}
