"""What the user is told about wishes: by Penchant, not by the model, which might promise the opposite."""

from __future__ import annotations

from collections.abc import Iterator

from penchant.conversation.retention.forgetting import Forgotten
from penchant.conversation.retention.wishes import Wish


def reply_to(wish: Wish, forgotten: Forgotten | None) -> str:
    """Return what was done about a wish, in its language."""
    return " ".join(_replies(wish, forgotten))


def _replies(wish: Wish, forgotten: Forgotten | None) -> Iterator[str]:
    says = wish.language.replies
    if forgotten is not None:
        counts = {
            "turns": len(forgotten.turns) + len(forgotten.redacted),
            "records": len(forgotten.records),
            "instructions": len(forgotten.instructions),
        }
        done = [says[name].format(n=count) for name, count in counts.items() if count]
        yield says["forgotten"].format(what=", ".join(done)) if done else says["nothing"]
        if forgotten.left:
            yield says["left"].format(what=", ".join(forgotten.left))
    if wish.lasting is not None:
        yield says["lasting" if wish.lasting else "resume"]
    elif wish.off_record:
        yield says["off_record"]
