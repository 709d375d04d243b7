import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";

/** What the model says, as it says it: as text, or as the messages that a page's hooks read. */
export function answer(origin: string, asMessages: boolean): Response {
  const openai = createOpenAI({ apiKey: "key", baseURL: `${origin}/v1` });
  const result = streamText({ model: openai.chat("small"), prompt: "Say hello" });
  return asMessages ? result.toUIMessageStreamResponse() : result.toTextStreamResponse();
}
