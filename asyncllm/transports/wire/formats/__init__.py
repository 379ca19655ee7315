"""Formats of providers' APIs: pure conversions from chat completions to a provider's bodies, and back.

`format` has the protocols. Nothing here does I/O or reads the environment.
"""
