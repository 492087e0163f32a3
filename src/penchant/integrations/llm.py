"""A model for llm (https://llm.datasette.io): `llm -m penchant -o user kim "Who tunes my piano?"`.

llm finds it through the entry point "penchant" in the group "llm". Each prompt is answered by itself, from the user's
history; conversations are kept by `penchant chat`. llm writes prompts and answers into a log of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from penchant.errors import InputError
from penchant.extras import imported

with imported("llm", extra="llm", why="penchant.integrations.llm"):
    import llm

if TYPE_CHECKING:
    from penchant.history.records import History
    from penchant.personalizer import Personalizer


@llm.hookimpl
def register_models(register: Callable[[llm.Model], None]) -> None:
    """Called by llm."""
    register(PenchantModel())


class PenchantModel(llm.Model):
    """Answers from the history of a stored user, or of a history file."""

    model_id = "penchant"
    can_stream = True

    class Options(llm.Options):
        """Options of a prompt, `-o NAME VALUE`."""

        user: str | None = Field(None, description="Whose history: a user of the store")
        history: str | None = Field(None, description="A history file (JSON Lines), instead of a user")
        store: str | None = Field(None, description="The store, a folder or a database URL")
        model: str = Field("smollm2", description="The model that marks and answers")
        marker: str | None = Field(None, description="How the history is marked")
        budget: str = Field("2%", description="Most tokens of the profile, or a share of the history")
        steer: str | None = Field(None, description="Steer with the user's vectors of this method")
        max_tokens: int = Field(256, description="Longest answer, in tokens")
        temperature: float | None = Field(None, description="0 takes the likeliest token; default: the model's own")
        seed: int | None = Field(None, description="For sampling")

    def __init__(self) -> None:
        self._made: dict[tuple[str, str | None, str], Personalizer] = {}

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None
    ) -> Iterator[str]:
        """Yield the answer in pieces. The system prompt is the task of the request. Raises `InputError` for neither or
        both of user and history.
        """
        from penchant.history.records import Request

        options = prompt.options
        assert isinstance(options, self.Options)  # llm makes them of this class
        personalizer, who = self._personalizer(options)
        request = Request(prompt.prompt or "", prompt.system or None)
        for piece in personalizer.stream(
            who,
            request,
            budget=options.budget,
            steer=options.steer,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            seed=options.seed,
        ):
            if isinstance(piece, str):
                yield piece
            else:
                response.set_usage(input=piece.prompt_tokens)

    def _personalizer(self, options: Options) -> tuple[Personalizer, History | str]:
        from penchant.history.jsonl import load_history
        from penchant.marking.registry import DEFAULT_MARKER
        from penchant.personalizer import Personalizer
        from penchant.store.location import default_store

        if (options.user is None) == (options.history is None):
            raise InputError("expected exactly one of -o user ID (of the store) and -o history FILE (JSON Lines)")
        who = load_history(options.history) if options.history is not None else str(options.user)
        store = None if options.history is not None else options.store or default_store()
        key = options.model, store, options.marker or DEFAULT_MARKER
        if key not in self._made:
            self._made[key] = Personalizer(options.model, store=store, marker=key[2])
        return self._made[key], who
