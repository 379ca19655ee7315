"""Providers' batch APIs: their limits, and the requests that they are asked by."""
