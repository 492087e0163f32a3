import os

import litellm

sent = {
    "model": "openai/smollm2",
    "api_base": f"{os.environ['BASE']}/v1",
    "api_key": "none",
    "messages": [{"role": "user", "content": "Who is my dentist?"}],
    "user_id": "ruth",  # `user` is dropped for model names that litellm doesn't know
}
print("completion:", litellm.completion(**sent).choices[0].message.content)
chunks = litellm.completion(**sent, stream=True)
print("stream:", "".join(chunk.choices[0].delta.content or "" for chunk in chunks))
