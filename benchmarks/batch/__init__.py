"""Durability and cost of batches: kills, power losses, full disks, faults, a million items."""
