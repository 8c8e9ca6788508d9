"""Measurements of what is lost, doubled or hung when things go wrong."""
