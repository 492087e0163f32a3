import os

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Dentist(BaseModel):
    name: str


client = instructor.from_openai(
    OpenAI(base_url=f"{os.environ['BASE']}/v1", api_key="none"), mode=instructor.Mode.JSON_SCHEMA
)
asked = [{"role": "user", "content": "Who is my dentist?"}]
print("json:", client.chat.completions.create(model="smollm2", messages=asked, response_model=Dentist, user="ruth"))
