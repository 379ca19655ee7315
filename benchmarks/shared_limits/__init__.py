"""Limits that processes share over Redis, measured against a simulator and a real redis-server.

`python -m benchmarks.shared_limits CASE`.
"""
