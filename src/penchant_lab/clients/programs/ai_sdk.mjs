import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

const baseURL = `${process.env.BASE}/v1`;
const compatible = createOpenAICompatible({ name: "penchant", baseURL, apiKey: "none" });
const chat = { model: compatible("smollm2"), prompt: "Who is my dentist?", providerOptions: { penchant: { user: "ruth" } } };
console.log("compatible:", (await generateText(chat)).text);
console.log("compatible stream:", await streamText(chat).text);

const openai = createOpenAI({ baseURL, apiKey: "none" });
const responses = { model: openai("smollm2"), providerOptions: { openai: { user: "ruth" } } };
const first = await generateText({ ...responses, prompt: "Who is my dentist?" });
console.log("responses:", first.text);
console.log("responses stream:", await streamText({ ...responses, prompt: "Who is my dentist?" }).text);
// Sent again as references to what the server has kept.
const asked = [{ role: "user", content: "Who is my dentist?" }, ...first.response.messages];
const again = await generateText({ ...responses, messages: [...asked, { role: "user", content: "Who is my dentist?" }] });
console.log("responses, second turn:", again.text);
