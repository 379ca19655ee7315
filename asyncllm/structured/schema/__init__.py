"""The types that can be asked for, and their JSON Schemas."""
