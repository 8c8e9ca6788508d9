"""Vectors of a library: which model, which spans, what is stale."""
