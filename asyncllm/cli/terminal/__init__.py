"""What commands share in a terminal: streams, exit codes, progress, signals, log events."""
