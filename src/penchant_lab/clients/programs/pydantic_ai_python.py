import os

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=f"{os.environ['BASE']}/v1", api_key="none")
for kind in (OpenAIResponsesModel, OpenAIChatModel):
    agent = Agent(kind("smollm2", provider=provider), model_settings={"openai_user": "ruth"})
    print(f"{kind.__name__}:", agent.run_sync("Who is my dentist?").output)
