"""What the limiter is measured by: one case for each promise, over real HTTP against the simulator."""
