import os

from mem0.configs.llms.openai import OpenAIConfig
from mem0.llms.openai import OpenAILLM

# The user_id of add() stays inside mem0: only the model name, the key or the URL can say who is meant.
config = OpenAIConfig(model="smollm2@ruth", api_key="none", openai_base_url=f"{os.environ['BASE']}/v1")
print("generate:", OpenAILLM(config).generate_response([{"role": "user", "content": "Who is my dentist?"}]))
