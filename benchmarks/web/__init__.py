"""Applications behind uvicorn: requests, streams, leaving clients, slow readers, tenants and overload."""
