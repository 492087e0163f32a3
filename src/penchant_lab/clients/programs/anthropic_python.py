import os

from anthropic import Anthropic

client = Anthropic(base_url=os.environ["BASE"], api_key="none")
sent = {
    "model": "smollm2",
    "max_tokens": 40,
    "messages": [{"role": "user", "content": "Who is my dentist?"}],
    "metadata": {"user_id": "ruth"},
}
print("create:", client.messages.create(**sent).content[0].text)
with client.messages.stream(**sent) as stream:
    print("stream:", "".join(stream.text_stream))
