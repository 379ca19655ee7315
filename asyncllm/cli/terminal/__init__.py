"""What commands read and write: streams, types of answers, exit codes, versions, signals, log events."""
