"""The blocking API: the async client and its streams, one step at a time, on a loop thread."""
