"""Many requests: fanned out with bounded concurrency, each ending in exactly one `Outcome`."""
