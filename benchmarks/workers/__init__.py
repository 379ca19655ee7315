"""One small program for every peer, written as its own documentation shows, in an environment of its own."""
