"""Measurements of how right tags, taggers and search are."""
