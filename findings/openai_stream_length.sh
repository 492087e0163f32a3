#!/bin/sh
# openai's .stream() helper raises for an answer that was cut at max_tokens, although no JSON was asked for.
# Expected: finish_reason "length" is an ordinary end: chat.completions.create() returns the cut text, and so should
# get_final_completion() of chat.completions.stream() when no response_format is given.
# What happens: get_final_completion() raises LengthFinishReasonError ("Could not parse response content"), so the text is
# lost to whoever asks for the whole. The loop over the events of the same stream ends without an error.
# Seen with openai 3.57.0.
# Why it matters: a server that stops a looping answer must choose a finish_reason; "length" is the honest one, and this
# helper makes an exception of it. Penchant's guide says so (docs/guides/server.md).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q openai==3.57.0
"$v/bin/python" - <<'EOF'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai

PIECES = ["One, ", "two, ", "thr"]


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        about = {"id": "c1", "created": 1, "model": "m"}
        if asked.get("stream"):
            deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in PIECES), {}]
            chunks = [
                {**about, "object": "chat.completion.chunk", "choices": [
                    {"index": 0, "delta": delta, "finish_reason": None if delta else "length"}]}
                for delta in deltas
            ]
            body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
            kind = "text/event-stream"
        else:
            message = {"role": "assistant", "content": "".join(PIECES)}
            choice = {"index": 0, "message": message, "finish_reason": "length"}
            body, kind = json.dumps({**about, "object": "chat.completion", "choices": [choice]}), "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", max_retries=0)
asked = {"model": "m", "messages": [{"role": "user", "content": "Count."}]}
print("openai", openai.__version__)
whole = client.chat.completions.create(**asked).choices[0]
print("create():", whole.finish_reason, repr(whole.message.content))
loop = [chunk.choices[0].delta.content for chunk in client.chat.completions.create(**asked, stream=True)]
print("create(stream=True):", repr("".join(piece or "" for piece in loop)))
text, raised = "", {}
with client.chat.completions.stream(**asked) as stream:
    try:
        for event in stream:
            text += event.delta if event.type == "content.delta" else ""
    except openai.LengthFinishReasonError as error:
        raised["events"] = str(error)[:52]
print("stream(), events:", repr(text), raised.get("events", "no error"))
with client.chat.completions.stream(**asked) as stream:
    try:
        print("stream(), final:", stream.get_final_completion().choices[0].finish_reason)
    except openai.LengthFinishReasonError as error:
        raised["final"] = str(error)[:52]
        print("stream(), final:", raised["final"])
server.shutdown()
same = whole.finish_reason == "length" and "".join(loop[1:-1]) == "".join(PIECES) and text == "".join(PIECES)
print(sorted(raised))
raise SystemExit(0 if same and "final" in raised else "the behaviour has changed")
EOF
