"""The wire formats of the simulator's providers, and the bodies of their errors."""
