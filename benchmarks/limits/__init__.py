"""Measurements of the limiter: one case for each promise, over real HTTP against the simulator."""
