"""Tagging: the catalog of a library, and everything that puts tags into it."""
