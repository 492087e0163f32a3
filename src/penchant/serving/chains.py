"""Responses that go on from earlier ones: what was said is kept as turns of a stored conversation."""

from __future__ import annotations

import re
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from penchant.conversation.retention import Wish, wish_in
from penchant.conversation.retention.forgetting import Forgotten, forget
from penchant.conversation.retention.replies import reply_to
from penchant.errors import InputError, UnknownUserError
from penchant.history.dialogue import Finish, Role, Turn
from penchant.serving.engine import ErasedError
from penchant.serving.errors import ApiError
from penchant.store import Store
from penchant.store.conversation_list import ConversationEntry

_NAME = r"[A-Za-z0-9.-]{1,64}"
_ID = re.compile(rf"(?:resp|msg|rs)_(?P<name>{_NAME})_(?P<turn>\d{{1,9}})(?P<unkept>_[0-9a-f]{{8}})?(?:_\d+)?")


@dataclass(frozen=True)
class Spoken:
    """A turn of a request's input. item: the id that the client gives it."""

    role: Role
    text: str
    item: str | None = None


@dataclass(frozen=True)
class Place:
    """Where something goes on: behind the turns of a conversation with numbers below `end`. answer: whether the last of
    these is a stored answer. named: whether the request named the conversation, which may be new.
    """

    conversation: str
    end: int
    answer: bool = False
    named: bool = False


def place_of(name: str) -> Place | None:
    """Return the place behind a response, by its id or that of one of its items; None for an id of another form.

    "resp_NAME_7" is turn 7 of the conversation NAME. "resp_NAME_7_0123abcd" wasn't kept; what goes on from it goes on
    from what was said before, which turns below 7 hold.
    """
    found = _ID.fullmatch(name)
    if found is None:
        return None
    turn, unkept = int(found["turn"]), found["unkept"] is not None
    return Place(found["name"], turn if unkept else turn + 1, answer=not unkept)


@dataclass(eq=False)
class Chain:
    """What a response goes on from, and what is kept of it. conversation: where it is kept. turn: the number of its
    answer there. kept: whether anything is. past: what was said before, unless the client sends it again. system: the
    conversation's system prompt. said: what is kept besides the answer. source: the conversation that `copied` turns
    come from, with which this one begins (None: it goes on where it is). known: whether the user is in the store.
    notice: what the user is told about a wish. rest: the newest turn without the wish (None: it has none).
    """

    user: str
    conversation: str
    turn: int
    when: datetime
    kept: bool
    past: tuple[Turn, ...] = ()
    system: str | None = None
    said: tuple[Spoken, ...] = ()
    source: str | None = None
    copied: tuple[Turn, ...] = ()
    known: bool = True
    notice: str = ""
    rest: str | None = None

    def __post_init__(self) -> None:
        suffix = "" if self.kept else f"_{uuid.uuid4().hex[:8]}"
        self.id = f"resp_{self.conversation}_{self.turn}{suffix}"


class Chains:
    """The chains of responses of a store. Methods wait for the store: call them in a thread. A response that doesn't
    exist for its user is a 404, whoever else may have it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # Of two answers to one response at the same time, the second goes to a conversation of its own. Weak: a request
        # that fails, or whose client goes away, ends with its chain.
        self._open: weakref.WeakValueDictionary[tuple[str, str], Chain] = weakref.WeakValueDictionary()

    def text(self, user: str | None, item: str) -> str:
        """Return the text of a stored answer, by its item's id."""
        return self._answer(user, item)[1].text

    def before(self, user: str, place: Place) -> tuple[str | None, tuple[Turn, ...]]:
        """Return the system prompt and the turns that are before a place."""
        entry = self._entry(user, place)
        return (entry.system, self._turns(user, place)) if entry else (None, ())

    def begin(self, user: str, spoken: Sequence[Spoken], *, place: Place | None, system: str | None) -> Chain:
        """Begin a response that is kept: find what was said before, and do what the newest turn wishes. place: what it
        goes on from (None: nothing). system: of a new conversation. Raises `ApiError` for an unknown place, and for a
        named conversation in which another answer is being written.
        """
        resent = 0
        if place is None:
            place, resent = self._resent(user, spoken)
        entry = self._entry(user, place) if place is not None else None
        newest = next((one.text for one in reversed(spoken) if one.role == "user"), "")
        wish, forgotten = self._fulfilled(user, entry.id if entry else "", newest)
        name = place.conversation if place is not None else uuid.uuid4().hex
        lasting = wish.lasting if wish is not None else None
        off = bool(entry and entry.off_record) if lasting is None else lasting
        kept = not off and (wish is None or (bool(wish.rest) and not wish.off_record))
        if not kept or lasting is not None:  # what goes on from here must find it
            self._store.conversations.open(user, name, system=None if entry or not kept else system, when=_now())
        if lasting is not None:
            self._store.conversations.set_off_record(user, name, lasting)
        entry = self._store.conversations.find(user, name)
        known = entry is not None or self._known(user)
        turns = self._store.conversations.turns(user, name) if entry else []
        past = tuple(turn for turn in turns if place is not None and turn.number < place.end)
        said = _kept(spoken[resent:], wish) if kept else ()
        source, turn = None, len(said) + (entry.next if entry else 0)
        copied: tuple[Turn, ...] = ()
        if kept and (len(past) < len(turns) or (user, name) in self._open):
            if place is not None and place.named:
                message = f"another answer is being written in conversation {name!r}: ask again"
                raise ApiError(409, message, param="conversation", code="conflict")
            source, name, turn, copied = name, uuid.uuid4().hex, len(past) + len(said), past
        made = Chain(
            user=user,
            conversation=name,
            turn=turn if kept else (place.end if place is not None else 0),
            when=_now(),
            kept=kept,
            past=() if resent else past,
            system=entry.system if entry else system,
            said=said,
            source=source,
            copied=copied,
            known=known,
            notice="" if wish is None else reply_to(wish, forgotten),
            rest=None if wish is None else wish.rest,
        )
        if kept:
            self._open[user, name] = made
        return made

    def keep(self, chain: Chain, answer: str, finish: Finish) -> None:
        """Store what was said and the answer, all or nothing; nothing if the chain isn't kept. An empty answer counts
        as missing. Raises `ErasedError` if the user was erased meanwhile, and `ApiError` if another process has
        answered as well.
        """
        if not chain.kept:
            return
        conversations, name = self._store.conversations, chain.conversation
        said = [Turn(0, one.role, one.text, chain.when) for one in chain.said]
        said += [Turn(0, "assistant", answer, chain.when, finish)] if answer else []
        first = chain.turn - len(chain.said)
        if chain.known and not self._known(chain.user):
            raise ErasedError
        try:
            if first == 0 or chain.source is not None:
                conversations.open(chain.user, name, system=chain.system, when=chain.when)
                said, first = [*chain.copied, *said], 0
            conversations.add(chain.user, name, *(replace(one, number=first + at) for at, one in enumerate(said)))
        except UnknownUserError:
            raise ErasedError from None
        except InputError as error:
            raise ApiError(409, f"the response isn't kept: {error}", code="conflict") from None
        finally:
            self._open.pop((chain.user, name), None)

    def find(self, user: str | None, response: str) -> tuple[Turn, str | None]:
        """Return the answer of a stored response, and the id of the one that it goes on from."""
        place, answer = self._answer(user, response)
        earlier = [turn for turn in self._turns(str(user), place) if turn.when != answer.when]
        before = earlier[-1] if earlier and earlier[-1].role == "assistant" else None
        return answer, None if before is None else f"resp_{place.conversation}_{before.number}"

    def erase(self, user: str | None, response: str) -> None:
        """Erase a stored response with what was said in its request, also in the conversations that branched off later.
        Other responses of the chain stay.
        """
        _, answer = self._answer(user, response)
        conversations, owner = self._store.conversations, str(user)
        found: dict[str, set[int]] = {}
        for name, turn in conversations.all_turns(owner):
            if turn.when == answer.when:  # all of a response, and no other, have its time
                found.setdefault(name, set()).add(turn.number)
        for name, numbers in found.items():
            if len(numbers) == len(conversations.turns(owner, name)):
                conversations.forget(owner, name)
            else:
                conversations.forget_turns(owner, name, numbers)

    def place(self, user: str | None, response: str | None, conversation: str | None) -> Place | None:
        """Return where a request goes on that names a response, or a conversation, which may be new; None: it names
        neither. Raises `ApiError` for an unknown response, and for a bad name.
        """
        if response is not None:
            place = place_of(response)
            if place is None or user is None:
                raise _unknown("response", response, "previous_response_id", user)
            self._entry(user, place)
            return place
        if conversation is None:
            return None
        if user is None:
            raise _unknown("conversation", conversation, "conversation", user)
        if not re.fullmatch(_NAME, conversation):
            raise ApiError(
                400,
                f"conversation is {conversation!r:.80}: expected at most 64 letters, digits, dots and hyphens",
                param="conversation",
                code="invalid_value",
            )
        entry = self._store.conversations.find(user, conversation)
        return Place(conversation, entry.next if entry else 0, named=True)

    def _resent(self, user: str, spoken: Sequence[Spoken]) -> tuple[Place | None, int]:
        """Return the place that a client means which sends everything again, with the ids of its answers, and how many
        of the turns are stored there; not to store them twice.
        """
        for at in reversed(range(len(spoken))):
            place = place_of(spoken[at].item or "") if spoken[at].role == "assistant" else None
            if place is None or self._entry_or_none(user, place) is None:
                continue
            stored = [(turn.role, turn.text) for turn in self._turns(user, place)]
            if stored == [(one.role, one.text) for one in spoken[: at + 1]]:
                return place, at + 1
        return None, 0

    def _fulfilled(self, user: str, conversation: str, text: str) -> tuple[Wish | None, Forgotten | None]:
        """Return what the newest turn wants kept, and what was erased for it; see `Conversation.say`."""
        wish = wish_in(text)
        if wish is None or not wish.forget:
            return wish, None
        try:
            done = forget(self._store, user, conversation, wish.forget, wish.language.code)
        except UnknownUserError:
            done = Forgotten()
        if not (done.anything or done.left or wish.off_record) and not any(one.certain for one in wish.forget):
            return None, None
        return wish, done

    def _known(self, user: str) -> bool:
        try:
            self._store.revision(user)
        except UnknownUserError:
            return False
        return True

    def _entry_or_none(self, user: str, place: Place) -> ConversationEntry | None:
        entry = self._store.conversations.find(user, place.conversation)
        if entry is None or not place.answer or place.end - 1 == entry.next:  # the number of an answer that was empty
            return entry
        return entry if any(turn.number == place.end - 1 for turn in self._turns(user, place)) else None

    def _entry(self, user: str, place: Place) -> ConversationEntry | None:
        """Return the conversation of a place (None: a named one is new). Raises `ApiError`."""
        entry = self._entry_or_none(user, place)
        if entry is None and not place.named:
            raise _unknown("response", f"resp_{place.conversation}_{place.end - 1}", "previous_response_id", user)
        return entry

    def _turns(self, user: str, place: Place) -> tuple[Turn, ...]:
        turns = self._store.conversations.turns(user, place.conversation)
        return tuple(turn for turn in turns if turn.number < place.end)

    def _answer(self, user: str | None, name: str) -> tuple[Place, Turn]:
        """Return the place and the turn of a stored answer."""
        place = place_of(name)
        if place is not None and place.answer and user is not None and self._entry_or_none(user, place) is not None:
            for turn in self._turns(user, place)[-1:]:
                if turn.number == place.end - 1 and turn.role == "assistant":
                    return place, turn
        raise _unknown("item" if not name.startswith("resp_") else "response", name, None, user)


def _kept(spoken: Sequence[Spoken], newest: Wish | None) -> tuple[Spoken, ...]:
    """Return what may be kept of a request's input: nothing off the record; of requests to forget something, the rest
    without its answer. newest: the wish of the newest user's turn, which was fulfilled.
    """
    last = max((at for at, one in enumerate(spoken) if one.role == "user"), default=-1)
    found, lasting, answered = list[Spoken](), False, True
    for at, one in enumerate(spoken):
        if not one.text.strip():
            continue
        if one.role == "assistant":
            found += [one] if answered else []
            continue
        wish = newest if at == last else wish_in(one.text)
        if wish is not None and wish.lasting is not None:
            lasting = wish.lasting
        off = lasting or (wish is not None and wish.off_record)
        text = one.text if wish is None else wish.rest
        answered = wish is None and not off
        if not off and text.strip():
            found.append(replace(one, text=text))
    return tuple(found)


def _now() -> datetime:
    return datetime.now(UTC)


def _unknown(what: str, name: str, param: str | None, user: str | None) -> ApiError:
    whose = "say who is asking" if user is None else "it isn't this user's, wasn't kept, or was erased"
    code = f"{param.removesuffix('_id')}_not_found" if param else "not_found"
    return ApiError(404, f"no {what} {name!r:.120}: {whose}", param=param, code=code)
