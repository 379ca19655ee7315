"""Limits that processes share: leases of rates and budgets from a store such as Redis, and cooldowns for all.

The store decides; the limiter of each process spends what it has leased. Nothing here is used, or imported, without
`limits_url`.
"""

from __future__ import annotations
