"""The way of a request to its answer: endpoints, limits, attempts, deadline, fallbacks.

Limits themselves live in `limits`, and what talks to a provider in `transports`.
"""
