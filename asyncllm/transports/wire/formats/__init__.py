"""Formats of providers' APIs: pure conversions from chat completions to a provider's bodies, and back.

A format does no I/O: it knows nothing of connections, statuses or timeouts. `format` has the protocols.
"""
