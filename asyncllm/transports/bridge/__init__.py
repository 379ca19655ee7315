"""The bridge: an asyncio loop on a thread of its own, one for the process, and calls to it from any loop.

What runs on the loop is up to the transports: there is no HTTP here, no litellm and no provider.
"""

from .bridge import Bridge
from .crossing import CrossingStream

__all__ = ["Bridge", "CrossingStream"]
