"""The litellm transport, for every provider that litellm knows."""
