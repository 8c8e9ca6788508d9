"""Experts: they watch, listen to and read a video, and write down tags."""
