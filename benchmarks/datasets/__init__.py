"""Genuine annotation formats into a catalog: one file for each data set."""
