"""Batches: many requests with bounded concurrency, each with exactly one `Outcome`."""
