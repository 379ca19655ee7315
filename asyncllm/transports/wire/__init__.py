"""The wire transport: HTTP exchanges over aiohttp, their connections, timeouts and streams.

The formats of bodies are in `formats`, and the choice of the requests that the wire serves in `rules`.
"""
