"""How fast asyncllm is beside what a user could pick instead; `make bench` runs it."""
