"""The transports: the only code that talks to a provider, over aiohttp (`wire`) or by litellm (`litellm`).

The interface that the pipeline uses is in `base`; errors, headers, bodies and size limits, which both have in common,
are beside it. Retries, rate limits and costs are not here.
"""
