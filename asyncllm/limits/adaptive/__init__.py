"""Adaptive control: a provider's rate and concurrency, found from its answers and refusals.

Everything here is pure: the time is passed in.
"""
