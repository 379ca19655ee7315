"""The litellm transport, for every provider that litellm knows: its import, its HTTP clients, its calls and its errors.

litellm and OpenAI's SDK are imported nowhere else. The loop that it runs on is the bridge's.
"""
