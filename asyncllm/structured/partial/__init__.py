"""Partial values: snapshots of a typed answer while it is still being written."""
