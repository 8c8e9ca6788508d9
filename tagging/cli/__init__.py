"""The commands around tags: they parse and print."""
