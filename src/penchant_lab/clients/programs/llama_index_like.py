import os

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

base = {"model": "smollm2", "api_base": f"{os.environ['BASE']}/v1", "api_key": "none", "max_tokens": 40}
plain = OpenAILike(**base, default_headers={"X-Penchant-User": "ruth"})  # calls /v1/completions
print("complete:", plain.complete("Who is my dentist?").text)
chat = OpenAILike(**base, is_chat_model=True, additional_kwargs={"user": "ruth"})
asked = [ChatMessage(role="user", content="Who is my dentist?")]
print("chat:", chat.chat(asked).message.content)
print("stream:", "".join(one.delta or "" for one in chat.stream_chat(asked)))
