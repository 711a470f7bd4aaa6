"""Numbers about maps: pure functions on arrays."""
