"""The rules of OpenAI's format: the requests that the wire serves in it, and what it sends for them.

The wire serves a request when litellm would pass it through unchanged, or when what litellm changes is simple enough
for a table: `endpoints` by provider, `openai_models` by model, `parameter_rules`, `message_rules` and `tool_rules` for
what a request holds. Everything else takes the litellm transport. Nothing here sends anything.
"""
