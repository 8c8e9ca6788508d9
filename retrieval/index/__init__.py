"""The search structure over vectors; it can always be rebuilt."""
