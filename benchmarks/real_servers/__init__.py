"""Real servers that speak OpenAI's format: a llama.cpp server with a tiny model, and a LiteLLM proxy."""
