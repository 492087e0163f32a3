import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.env.BASE}/v1`, apiKey: "none" });
const messages = [{ role: "user", content: "Who is my dentist?" }];
const chat = await client.chat.completions.create({ model: "smollm2", messages, user: "ruth" });
console.log("chat:", chat.choices[0].message.content);
const stream = client.chat.completions.stream({ model: "smollm2", messages, user: "ruth" });
console.log("chat stream:", await stream.finalContent());
const response = await client.responses.create({ model: "smollm2", input: "Who is my dentist?", user: "ruth" });
console.log("responses:", response.output_text);
