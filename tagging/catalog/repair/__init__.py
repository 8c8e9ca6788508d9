"""What is wrong with a catalog, and a new one from what is left of it."""
