"""The journal of a batch: what has been answered, so that nothing is lost or paid for twice."""
