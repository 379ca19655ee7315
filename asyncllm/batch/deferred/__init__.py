"""Deferred batches: requests answered by a provider's batch API, within a day and at half the price."""
