"""The simulated provider as a server: its thread and port, its limits and latency, and its request log."""
