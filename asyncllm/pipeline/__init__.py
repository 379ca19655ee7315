"""From a request to its answer: endpoints, attempts, deadline, retries, fallbacks.

Limits themselves live in `limits`, and what talks to a provider in `transports`.
"""
