"""Benchmarks of asyncllm beside other SDKs; `make bench` runs them."""
