"""Clients of a server that mix everything: who they are, what they ask, and whether an answer has another's words.

Every person's records and id hold strings that occur nowhere else (canaries). An answer, with its headers, may have
those of who asked, and no others. Half of the people change their records during the run. The records of the others
stay, so that what they are answered in a crowd must be what they were answered alone.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import httpx

CANARY = re.compile(r"zq[0-9a-f]{12}")
QUESTIONS = ("What is my code word?", "Which word opens my gate?", "Who is my neighbour?")
ANSWER, BUDGET, TIMEOUT = 8, 60, 120.0
UPLOAD = {"Content-Type": "application/x-ndjson"}


@dataclass(frozen=True)
class Person:
    """A user. name: the id, with a canary. words: canaries in the records. changes: whether the records change."""

    name: str
    words: tuple[str, ...]
    changes: bool

    @property
    def own(self) -> frozenset[str]:
        """The canaries of this person."""
        return frozenset([*self.words, *CANARY.findall(self.name)])

    @property
    def records(self) -> list[dict[str, str]]:
        """What is stored at the beginning."""
        texts = (f"My code word is {self.words[0]}.", f"The word {self.words[1]} opens my gate.", "I like the sea.")
        return [{"id": f"r{number}", "text": text} for number, text in enumerate(texts)]


def people(count: int, seed: int) -> list[Person]:
    """Return persons with canaries of their own; every other one changes."""
    chosen = random.Random(seed)

    def canary() -> str:
        return f"zq{chosen.getrandbits(48):012x}"

    return [Person(f"person-{canary()}", (canary(), canary()), number % 2 == 1) for number in range(count)]


@dataclass
class Seen:
    """What came back. statuses: by kind of request and status. own: answers with words of who asked, by kind.
    foreign: kinds of requests that had canaries of others. failures: messages of statuses from 500. compared,
    differing: answers that were given alone before, and those that are others now.
    """

    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    own: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    differing: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def look(self, kind: str, person: Person | None, status: int | str, text: str) -> None:
        """Note an answer. text: all of it, with headers and the joined text of a stream."""
        found = set(CANARY.findall(text.lower()))
        own = person.own if person is not None else frozenset()
        with self._lock:
            self.statuses.setdefault(kind, Counter())[str(status)] += 1
            self.own[kind] += bool(person is not None and found & set(person.words))
            self.foreign += [kind] * bool(found - own)
            if isinstance(status, int) and status >= 500:
                self.failures[CANARY.sub("...", text[-200:])] += 1

    def compare(self, one: str, other: str) -> None:
        """Note whether two answers are the same."""
        with self._lock:
            self.compared += 1
            self.differing += one != other


class Visitor:
    """One client. alone: answers to the questions of those who don't change, by name and question."""

    def __init__(
        self,
        client: httpx.Client,
        persons: Sequence[Person],
        seen: Seen,
        alone: Mapping[tuple[str, str], str],
        seed: str,
    ) -> None:
        self._client, self._persons, self._seen, self._alone = client, persons, seen, alone
        self._random = random.Random(seed)
        self._last: dict[str, str] = {}  # each person's last stored response

    def visit(self) -> None:
        """Send one request of a kind that is drawn by its weight, for a person that is drawn."""
        person = self._random.choice(self._persons)
        (kind,) = self._random.choices([*_KINDS], [*_KINDS.values()])
        if kind in _CHANGING and not person.changes:
            kind = "chat"
        getattr(self, f"_{kind}")(person)

    def asked(self, person: Person, **more: Any) -> dict[str, Any]:
        """Return the arguments of a request for an answer, which names the person in one of all ways."""
        body = {**body_of(self._random.choice(QUESTIONS)), **more}
        path, headers = "/v1/chat/completions", {}
        match self._random.randrange(6):
            case 0:
                body["user"] = person.name
            case 1:
                body["user_id"] = person.name
            case 2:
                body["metadata"] = {"user_id": person.name}
            case 3:
                headers = {"X-Penchant-User": person.name}
            case 4:
                body["model"] = f"default@{person.name}"
            case _:
                path = f"/u/{person.name}{path}"
        return {"method": "POST", "url": path, "json": body, "headers": headers}

    def _send(self, kind: str, person: Person | None, **request: Any) -> httpx.Response:
        response = self._client.request(**request)
        self._seen.look(kind, person, response.status_code, whole(response, response.text))
        return response

    def _chat(self, person: Person) -> None:
        request = self.asked(person)
        if self._random.random() < 0.3:
            request["json"]["penchant"] |= {"explain": True}
        made = self._send("chat", person, **request)
        before = self._alone.get((person.name, request["json"]["messages"][-1]["content"]))
        if before is not None and made.status_code == 200:
            self._seen.compare(before, made.json()["choices"][0]["message"]["content"])

    def _responses(self, person: Person) -> None:
        """An answer that goes on from the person's last one, now and then from somebody else's, which is a 404."""
        body: dict[str, Any] = {"input": self._random.choice(QUESTIONS), "max_output_tokens": ANSWER, "temperature": 0}
        body |= {"user": person.name, "stream": self._random.random() < 0.3}
        before = self._last.get(self._random.choice([person.name, person.name, *self._last]))
        made = self._send(
            "responses", person, method="POST", url="/v1/responses", json={**body, "previous_response_id": before}
        )
        if made.status_code == 200 and not body["stream"]:
            self._last[person.name] = made.json()["id"]

    def _messages(self, person: Person) -> None:
        body = {"max_tokens": ANSWER, "messages": [{"role": "user", "content": QUESTIONS[0]}]}
        body |= {"metadata": {"user_id": person.name}, "stream": self._random.random() < 0.3}
        self._send("messages", person, method="POST", url="/v1/messages", json=body)

    def _nobody(self, _: Person) -> None:
        self._send("nobody", None, method="POST", url="/v1/chat/completions", json=body_of(QUESTIONS[0]))

    def _stream(self, person: Person, most: int | None = None) -> None:
        kind = "stream" if most is None else "cut"
        request = self.asked(person, stream=True)
        with self._client.stream(**request) as response:
            lines = []
            for line in response.iter_lines():
                lines.append(line)
                if most is not None and len(lines) >= most:
                    break  # the connection is closed in the middle of the answer
            text = said(lines)
            self._seen.look(kind, person, response.status_code, whole(response, "\n".join([*lines, text])))
        before = self._alone.get((person.name, request["json"]["messages"][-1]["content"]))
        if before is not None and most is None and response.status_code == 200:
            self._seen.compare(before, text.strip())

    def _cut(self, person: Person) -> None:
        self._stream(person, self._random.randrange(1, 7))

    def _retry(self, person: Person) -> None:
        request = self.asked(person)
        with suppress(httpx.TimeoutException):
            self._client.request(**request, timeout=self._random.uniform(0.002, 0.1))
        self._send("retry", person, **request)

    def _render(self, person: Person) -> None:
        self._send("render", person, **{**self.asked(person, user=person.name), "url": "/v1/render"})

    def _complete(self, person: Person) -> None:
        body = {**body_of(QUESTIONS[0]), "prompt": QUESTIONS[1], "echo": True, "user": person.name, "n": 2}
        self._send("complete", person, method="POST", url="/v1/completions", json=body)

    def _profile(self, person: Person) -> None:
        body = {"query": self._random.choice(QUESTIONS), "budget": BUDGET}
        self._send("profile", person, method="POST", url=f"/v1/users/{person.name}/profile", json=body)

    def _records(self, person: Person) -> None:
        self._send("records", person, method="GET", url=f"/v1/users/{person.name}/records")

    def _export(self, person: Person) -> None:
        self._send("export", person, method="GET", url=f"/v1/users/{person.name}/export")

    def _rerank(self, person: Person) -> None:
        documents = [f"The word is {person.words[0]}.", "Rain in Oslo.", f"The gate opens at {person.words[1]}."]
        body = {"query": QUESTIONS[0], "documents": documents, "return_documents": True}
        self._send("rerank", person, method="POST", url="/v1/rerank", json=body)

    def _add(self, person: Person) -> None:
        number = self._random.randrange(20)
        line = json.dumps({"id": f"n{number}", "text": f"Note {number}: say {person.words[0]} at the gate."})
        for _ in range(2):  # a repeated call adds nothing
            url = f"/v1/users/{person.name}/records"
            self._send("add", person, method="POST", url=url, content=line, headers=UPLOAD)

    def _remove(self, person: Person) -> None:
        url = f"/v1/users/{person.name}/records/n{self._random.randrange(20)}"
        self._send("remove", person, method="DELETE", url=url)

    def _erase(self, person: Person) -> None:
        self._send("erase", person, method="DELETE", url=f"/v1/users/{person.name}")
        url = f"/v1/users/{person.name}/records"
        self._send("add", person, method="POST", url=url, json=person.records)

    def _wrong(self, person: Person) -> None:
        url = f"/v1/users/{person.name}/records"
        word = person.words[0]
        wrong: tuple[dict[str, Any], ...] = (
            {"method": "POST", "url": url, "json": {"id": "r0", "text": f"Another {word}"}},  # stored otherwise
            {"method": "POST", "url": url, "content": f'{{"text": "{word}"', "headers": UPLOAD},
            {"method": "POST", "url": url, "content": word, "headers": {"Content-Type": "text/plain"}},
            {"method": "DELETE", "url": f"{url}/{word}"},
            {"method": "GET", "url": f"/v1/users/{word}/records"},
            self.asked(person, model=f"no-{word}"),
            self.asked(person, penchant={"budget": word}),
            self.asked(person, messages=[{"role": "user", "content": f"{word} " * 200}]),
            {**self.asked(person), "url": f"/v1/{word}"},
        )
        self._send("wrong", person, **self._random.choice(wrong))


_KINDS = {
    "chat": 30, "stream": 14, "cut": 10, "retry": 7, "render": 6, "complete": 4, "profile": 5, "records": 3,
    "export": 2, "rerank": 5, "add": 6, "remove": 2, "erase": 0.5, "wrong": 6, "nobody": 3, "responses": 8,
    "messages": 5,
}  # fmt: skip
"""Kinds of requests, with their weights."""
_CHANGING = frozenset({"add", "remove", "erase"})


def body_of(question: str) -> dict[str, Any]:
    """Return the body of a question."""
    about = {"budget": BUDGET}
    messages = [{"role": "user", "content": question}]
    return {"messages": messages, "temperature": 0, "max_tokens": ANSWER, "penchant": about}


def whole(response: httpx.Response, text: str) -> str:
    """Return an answer's headers and text as one."""
    return "\n".join([*(f"{name}: {value}" for name, value in response.headers.items()), text])


def said(lines: Sequence[str]) -> str:
    """Return the joined text of a stream's chunks: a word may come in pieces."""
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
    return "".join(one.get("content") or "" for one in deltas)


def answered_alone(client: httpx.Client, persons: Sequence[Person]) -> dict[tuple[str, str], str]:
    """Ask the questions of those whose records stay, one after the other."""
    found = {}
    for person in persons:
        for question in QUESTIONS if not person.changes else ():
            made = client.post("/v1/chat/completions", json={**body_of(question), "user": person.name})
            found[person.name, question] = made.raise_for_status().json()["choices"][0]["message"]["content"]
    return found


def store_all(client: httpx.Client, persons: Sequence[Person]) -> None:
    """Store everybody's records."""
    for person in persons:
        client.post(f"/v1/users/{person.name}/records", json=person.records).raise_for_status()


def crowd(
    url: str, persons: Sequence[Person], *, clients: int, requests: int, seed: int, keys: Sequence[str] = ()
) -> Seen:
    """Store everybody's records, ask what is compared later, and send the requests from several clients at once. keys:
    of tenants, who share the clients and the persons evenly (none: the server needs no key).
    """
    seen = Seen()
    shares = [requests // clients + (number < requests % clients) for number in range(clients)]
    tenants = [({"Authorization": f"Bearer {key}"}, persons[at :: len(keys)]) for at, key in enumerate(keys)]
    tenants = tenants or [({}, persons)]
    alone: dict[tuple[str, str], str] = {}
    for headers, theirs in tenants:
        with httpx.Client(base_url=url, timeout=TIMEOUT, headers=headers) as one:
            store_all(one, theirs)
            alone |= answered_alone(one, theirs)

    def come(number: int) -> None:
        headers, theirs = tenants[number % len(tenants)]
        with httpx.Client(base_url=url, timeout=TIMEOUT, headers=headers) as client:
            visitor = Visitor(client, theirs, seen, alone, f"{seed}/{number}")
            for _ in range(shares[number]):
                visitor.visit()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(come, range(clients)))
    return seen


def leaks(text: str) -> Iterator[str]:
    """Yield every canary in a text."""
    return (found[0] for found in CANARY.finditer(text.lower()))
