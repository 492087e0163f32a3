import os

from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)  # otherwise inputs and answers go to OpenAI
client = AsyncOpenAI(base_url=f"{os.environ['BASE']}/v1", api_key="none")
agent = Agent(
    name="helper",
    model=OpenAIResponsesModel("smollm2", client),
    model_settings=ModelSettings(extra_args={"user": "ruth"}),
)
print("run:", Runner.run_sync(agent, "Who is my dentist?").final_output)
