"""Terminals: streams, exit codes, signals, log events."""
