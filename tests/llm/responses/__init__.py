"""OpenAI's Responses: what we send, and what is streamed."""
