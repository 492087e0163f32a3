"""Penchant in other frameworks: LangChain, LlamaIndex and llm, one file each; they are installed as extras."""
