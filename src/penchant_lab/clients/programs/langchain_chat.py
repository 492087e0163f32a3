import os

from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="smollm2", base_url=f"{os.environ['BASE']}/v1", api_key="none", model_kwargs={"user": "ruth"})
print("invoke:", llm.invoke("Who is my dentist?").content)
print("stream:", "".join(chunk.content for chunk in llm.stream("Who is my dentist?")))
