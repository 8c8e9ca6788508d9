"""A procedural world of short videos in which everything is known."""
