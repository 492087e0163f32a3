import os

from openai import OpenAI

client = OpenAI(base_url=f"{os.environ['BASE']}/v1", api_key="none")
asked = [{"role": "user", "content": "Who is my dentist?"}]
answer = client.chat.completions.create(model="smollm2", messages=asked, user="ruth")
print("chat:", answer.choices[0].message.content)
with client.chat.completions.stream(model="smollm2", messages=asked, user="ruth") as stream:
    print("chat stream:", "".join(event.delta for event in stream if event.type == "content.delta"))
first = client.responses.create(model="smollm2", input="Who is my dentist?", user="ruth")
print("responses:", first.output_text)
events = client.responses.create(model="smollm2", input="Who is my dentist?", user="ruth", stream=True)
print("responses stream:", "".join(event.delta for event in events if event.type == "response.output_text.delta"))
