"""Mutation testing of the core: how many small faults in the code the tests notice. `make mutants` runs it."""
