"""What `penchant chat --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from penchant.cli.chat_session import Session
from penchant.cli.endpoint import served_document
from penchant.conversation.answers import ChatAnswer
from penchant.conversation.context import Context
from penchant.errors import EndpointError, InputError
from penchant.history.dialogue import Instruction


def document(session: Session, texts: Sequence[str]) -> dict[str, Any]:
    """Says each text, and returns the answers and what each turn changed."""
    turns = []
    for text in texts:
        try:
            turns.append(_turn(session, text, *_say(session, text)))
        except (EndpointError, InputError) as error:
            session.reread()
            turns.append({"text": text, "answer": None, "error": str(error)})
    conversation = session.conversation if session.name else None
    local, endpoint = session.personalizer.loaded.name, session.personalizer.endpoint
    return {
        "user": session.user,
        "conversation": session.name or None,
        "model": local if endpoint is None else endpoint.model,
        "endpoint": None if endpoint is None else endpoint.base_url,
        "marking_model": local,
        "memory": session.options["memory"],
        "detector": session.options["detector"],
        "turns": turns,
        "instructions": [] if conversation is None else [_instruction(one) for one in conversation.instructions],
    }


def _say(session: Session, text: str) -> tuple[int | None, ChatAnswer]:
    answer = session.conversation.say(text, **session.sampling)
    return None if answer.off_record else session.conversation.exchanges[-1].user.number, answer


def _turn(session: Session, text: str, number: int | None, answer: ChatAnswer) -> dict[str, Any]:
    context = answer.context
    return {
        "number": number,
        "text": text,
        "answer": answer.text or None,
        "finish": answer.finish,
        **served_document(answer.served, session.personalizer.loaded.name),
        "reasoning": answer.reasoning or None,
        "answer_number": answer.number,
        "given": [_instruction(one) for one in answer.given],
        "ended": [_instruction(one) for one in answer.ended],
        "records": list(answer.records),
        "notice": answer.notice or None,
        "off_record": answer.off_record,
        "forgotten": None if answer.forgotten is None else asdict(answer.forgotten),
        **_context(context),
        "seconds": {**context.seconds, **answer.seconds},
    }


def _context(context: Context) -> dict[str, Any]:
    noted = () if context.notes is None else zip(context.notes.segments, context.notes.scores, strict=True)
    return {
        "tokens": context.tokens,
        "budget": context.budget,
        "tokens_fed": context.tokens_fed,
        "instructions": [one.id for one in context.instructions],
        "left_out": [one.id for one in context.left_out],
        "kept": [asdict(one) for one in context.inclusions],
        "notes": [{"record": one.record_id, "text": one.text, "score": score} for one, score in noted],
    }


def _instruction(one: Instruction) -> dict[str, Any]:
    times = {
        key: None if when is None else when.isoformat() for key, when in (("added", one.added), ("ended", one.ended))
    }
    return {**asdict(one), **times}
