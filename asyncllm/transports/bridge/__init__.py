"""The bridge: one asyncio loop on one thread per process, reached from any loop of any backend."""
