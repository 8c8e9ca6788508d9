"""Pickles of torch as data: read without calling anything that they name."""
