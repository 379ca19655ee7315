"""What a batch must withstand, and what it may cost: kills, power losses, full disks, faults, a million items."""
