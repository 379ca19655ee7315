"""The wire transport: an HTTP exchange over aiohttp, and the formats that it carries."""
