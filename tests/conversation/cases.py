"""Conversations on a tiny model."""

from penchant import Personalizer, Store
from penchant.conversation.answers import ChatAnswer
from penchant.conversation.session import Conversation
from tests.index.cases import calibration_of, lens_of

ORDER = "From now on end every answer with OK-7."


def personalizer_of(store: Store | None = None) -> Personalizer:
    lens = lens_of()
    return Personalizer(lens.loaded, store=store, marker="attention", calibration=calibration_of(lens))


def opened(store: Store | None = None, user: str = "ann", name: str = "first", **options: object) -> Conversation:
    return personalizer_of(store).conversation(
        user, name, **{"memory": "recent-5", "detector": "patterns", "budget": 300, **options}
    )


def say(conversation: Conversation, text: str) -> ChatAnswer:
    return conversation.say(text, max_tokens=4)
