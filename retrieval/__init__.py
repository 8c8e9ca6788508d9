"""Retrieval: from a sentence to the moment, and the command line that people type."""
