"""Talking to a model: the prompt its own template makes of a conversation, and its answer as a stream of text."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence

import torch
from jinja2 import TemplateError
from transformers import DynamicCache

from penchant.errors import InputError
from penchant.models.loading import LoadedModel

ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}
PLAIN_END = "Assistant:"
PREFILL = 1024
"""Prompt tokens per forward pass; bounds the memory of a long prompt's mask and activations."""


def render_chat(loaded: LoadedModel, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """The prompt text of a conversation: messages with "role" (system, user, assistant) and "content".

    Uses the tokenizer's own chat template; where a template refuses a system message, its text is put in front of
    the first user message. A model without a template gets "System: ...\\nUser: ...\\nAssistant:". Special tokens
    written out in a content are broken up by a space: text of a history can't end its turn or start another.

    Raises `InputError` for no messages, an unknown role, or an order the template refuses.
    """
    _check(messages)
    messages = [{**message, "content": _defused(loaded, message["content"])} for message in messages]
    if not loaded.tokenizer.chat_template:
        lines = [f"{ROLES[message['role']]}: {message['content']}" for message in messages]
        return "\n".join([*lines, PLAIN_END] if add_generation_prompt else lines)
    try:
        return _apply(loaded, messages, add_generation_prompt)
    except TemplateError as error:
        folded = _fold_system(messages)
        if len(folded) == len(messages):
            raise InputError(f"the chat template of {loaded.name} refuses these messages: {error}") from error
    try:
        return _apply(loaded, folded, add_generation_prompt)
    except TemplateError as error:
        raise InputError(f"the chat template of {loaded.name} refuses these messages: {error}") from error


def _defused(loaded: LoadedModel, text: str) -> str:
    tokenizer = loaded.tokenizer
    special = {str(token) for token in tokenizer.all_special_tokens}
    special |= {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    for token in sorted(special, key=len, reverse=True):
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def prompt_ids(loaded: LoadedModel, prompt: str) -> list[int]:
    """The tokens of a prompt; a leading begin-of-text token is added only where the text doesn't bring it.

    Raises `InputError` naming both numbers when they don't leave room for an answer in the model's window.
    """
    ids = _prompt_tokens(loaded, prompt)
    if not ids:
        raise InputError("the prompt is empty: expected some text")
    if len(ids) >= loaded.window:
        raise InputError(
            f"the prompt has {len(ids)} tokens but the window of {loaded.name} is {loaded.window}: "
            "shorten it or lower the budget of the profile"
        )
    return ids


def count_prompt(loaded: LoadedModel, prompt: str) -> int:
    """How many tokens `prompt_ids` gives, or would give if the window were larger."""
    return len(_prompt_tokens(loaded, prompt))


def _prompt_tokens(loaded: LoadedModel, prompt: str) -> list[int]:
    begin = loaded.tokenizer.bos_token
    brings = bool(begin) and prompt.startswith(str(begin))
    ids: list[int] = loaded.tokenizer(prompt, add_special_tokens=not brings, verbose=False)["input_ids"]
    return ids


def continuation_ids(loaded: LoadedModel, text: str) -> tuple[int, ...]:
    """The tokens of an answer behind a prompt that ends with the assistant's turn begun. A model without a chat
    template answers behind "Assistant:", so a space comes first. Raises `InputError` for an empty answer."""
    written = text if loaded.tokenizer.chat_template else f" {text}"
    ids = tuple(loaded.tokenizer(written, add_special_tokens=False, verbose=False)["input_ids"])
    if not text.strip() or not ids:
        raise InputError("an answer is empty: expected some text; drop the item")
    return ids


def generate_stream(
    loaded: LoadedModel,
    prompt: str,
    *,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    seed: int | None = None,
    stop: str | Iterable[str] | None = None,
) -> Iterator[str]:
    """The model's continuation of `prompt`, piece by piece as it is made.

    temperature: 0 takes the likeliest token; above, samples with `seed`. Ends at the model's end tokens, at its chat
    template's end of turn, before the first of the `stop` texts, after `max_new_tokens`, or at the end of the window.
    A piece never splits a character. Runs in the caller's thread: closing the iterator ends the work.

    Raises `InputError` at once (not at the first piece) for a prompt that doesn't fit or an option out of range.
    """
    ids = prompt_ids(loaded, prompt)
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}: expected at least 1")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"temperature is {temperature}: expected 0 or more")
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    if not loaded.tokenizer.chat_template and prompt.endswith(PLAIN_END):
        stops += [f"\n{role}:" for role in ROLES.values()]
    room = min(max_new_tokens, loaded.window - len(ids))
    tokens = _tokens(loaded, ids, room, temperature, seed)
    return _until(_texts(loaded, tokens), [text for text in stops if text])


def end_tokens(loaded: LoadedModel) -> set[int]:
    """Every token that ends an answer: the tokenizer's, the model's, and the chat template's end of turn."""
    found: set[int] = set()
    settings = getattr(loaded.model, "generation_config", None)
    for ids in (loaded.tokenizer.eos_token_id, loaded.model.config.eos_token_id, getattr(settings, "eos_token_id", 0)):
        found.update([ids] if isinstance(ids, int) else ids or ())
    special = set(loaded.tokenizer.all_special_ids) | set(loaded.tokenizer.added_tokens_decoder)
    if loaded.tokenizer.chat_template:
        answer = "zq"
        turn = [{"role": "user", "content": "a"}, {"role": "assistant", "content": answer}]
        after = render_chat(loaded, turn, add_generation_prompt=False).rpartition(answer)[2]
        ids = loaded.tokenizer(after, add_special_tokens=False)["input_ids"]
        found.update(ids[:1] if ids and ids[0] in special else ())
    return found


def _tokens(loaded: LoadedModel, ids: list[int], room: int, temperature: float, seed: int | None) -> Iterator[int]:
    ends = end_tokens(loaded)
    generator = torch.Generator().manual_seed(seed) if seed is not None else None
    cache = DynamicCache(config=loaded.model.config)
    for start in range(0, len(ids), PREFILL):
        logits = _step(loaded, ids[start : start + PREFILL], cache)
    for made in range(room):
        token = _pick(logits, temperature, generator)
        if token in ends:
            return
        yield token
        if made + 1 < room:
            logits = _step(loaded, [token], cache)


@torch.no_grad()
def _step(loaded: LoadedModel, ids: list[int], cache: DynamicCache) -> torch.Tensor:
    """Feed `ids` behind what is cached: float32 logits [vocab] after the last of them. The cache grows in place."""
    batch = torch.tensor([ids], device=loaded.device)
    only_last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(loaded.model.forward).parameters else {}
    out = loaded.model(input_ids=batch, past_key_values=cache, use_cache=True, **only_last)
    logits: torch.Tensor = out.logits[0, -1].float().cpu()
    return logits


def _pick(logits: torch.Tensor, temperature: float, generator: torch.Generator | None) -> int:
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=generator))


def _texts(loaded: LoadedModel, tokens: Iterator[int]) -> Iterator[str]:
    # Decoded with a few tokens before it, a token keeps its leading space; text that still ends in the replacement
    # character may be half a character, and waits.
    ids: list[int] = []
    context = shown = 0

    def decode(start: int, end: int) -> str:
        return str(loaded.tokenizer.decode(ids[start:end], skip_special_tokens=True))

    def new_text() -> str:
        return decode(context, len(ids))[len(decode(context, shown)) :]

    for token in tokens:
        ids.append(token)
        text = new_text()
        if text and not text.endswith("\ufffd"):
            yield text
            context, shown = shown, len(ids)
    if rest := new_text():
        yield rest


def _until(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """The pieces up to the first stop text; what might be its beginning is held back until it is known not to be."""
    held = ""
    for piece in pieces:
        held += piece
        cuts = [at for text in stops if (at := held.find(text)) >= 0]
        if cuts:
            if head := held[: min(cuts)]:
                yield head
            return
        keep = max((n for text in stops for n in range(1, len(text)) if held.endswith(text[:n])), default=0)
        if ready := held[: len(held) - keep]:
            yield ready
        held = held[len(held) - keep :]
    if held:
        yield held


def _check(messages: Sequence[dict[str, str]]) -> None:
    if not messages:
        raise InputError("no messages: expected at least one with a role and a content")
    for message in messages:
        if message.get("role") not in ROLES or "content" not in message:
            raise InputError(f"a message has role {message.get('role')!r}: expected {', '.join(ROLES)} and a content")


def _apply(loaded: LoadedModel, messages: Sequence[dict[str, str]], add_generation_prompt: bool) -> str:
    text = loaded.tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
    )
    return str(text)


def _fold_system(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    rest = [dict(message) for message in messages if message["role"] != "system"]
    if system and rest and rest[0]["role"] == "user":
        rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
        return rest
    return list(messages)
