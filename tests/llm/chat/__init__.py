"""OpenAI's chat completions, as nearly every server speaks them."""
