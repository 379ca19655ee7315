"""The only code that talks to a provider: over aiohttp, or by way of litellm."""
