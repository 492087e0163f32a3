"""What Open WebUI sends, after its source: the list of models, then streamed chats."""

import json
import os

import httpx

client = httpx.Client(base_url=f"{os.environ['BASE']}/v1", timeout=120)
model = client.get("/models").json()["data"][0]["id"]


def ask(headers: dict[str, str], **more: object) -> str:
    body = {
        "stream": True,
        "model": model,
        "messages": [{"role": "user", "content": "Who is my dentist?"}],
        "stream_options": {"include_usage": True},
        **more,
    }
    text = ""
    with client.stream("POST", "/chat/completions", json=body, headers=headers) as got:
        for line in got.iter_lines():
            if line.startswith("data: {"):
                text += "".join(one["delta"].get("content") or "" for one in json.loads(line[6:])["choices"])
    return text


print("header:", ask({"X-OpenWebUI-User-Id": "ruth", "X-OpenWebUI-User-Name": "Ruth%20R."}))
print("pipeline:", ask({}, user={"id": "ruth", "name": "Ruth R.", "email": "ruth@example.org", "role": "user"}))
