"""A real HTTP server on 127.0.0.1 that speaks OpenAI's chat completions by script, and notes what it saw."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Reply:
    """An answer of the server. body: pieces, sent one by one. whole: whether it announces its length; otherwise the
    end of the connection ends it."""

    body: Iterable[bytes]
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    whole: bool = False


@dataclass
class Served:
    """What the server saw. gone: set when a client went away before its answer was complete."""

    base_url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)


Answer = Callable[[dict[str, Any]], Reply]


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": choices, **more}
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def said(*pieces: str, finish: str | None = "stop", usage: dict[str, Any] | None = None) -> list[bytes]:
    """The events of a streamed answer."""
    events = [event({"role": "assistant", "content": ""}), *(event({"content": piece}) for piece in pieces)]
    events += [event({}, finish)] if finish else []
    events += [event(usage=usage)] if usage else []
    return [*events, DONE] if finish else events


def stream(*pieces: str, **more: Any) -> Reply:
    return Reply(said(*pieces, **more), kind="text/event-stream")


def streamed(events: Iterable[bytes]) -> Reply:
    return Reply(events, kind="text/event-stream")


def error(status: int, message: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": message, "type": "t", "param": None, "code": None}}).encode()
    return Reply([body], status, headers=headers, whole=True)


@contextmanager
def serving(*answers: Answer | Reply) -> Iterator[Served]:
    """Run a server that gives the answers in turn, the last one again and again."""
    served: Served

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            served.bodies.append(body)
            served.keys.append(self.headers.get("authorization"))
            served.paths.append(self.path)
            answer = answers[min(len(served.bodies), len(answers)) - 1]
            reply = answer(body) if callable(answer) else answer
            self.send_response(reply.status)
            self.send_header("content-type", reply.kind)
            for name, value in reply.headers.items():
                self.send_header(name.replace("_", "-"), value)
            pieces = reply.body
            if reply.whole:
                pieces = [b"".join(pieces)]
                self.send_header("content-length", str(len(pieces[0])))
            else:
                self.send_header("connection", "close")
                self.close_connection = True
            self.end_headers()
            try:
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
                served.gone.set()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
