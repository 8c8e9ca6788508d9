"""The catalog: the one truth on disk, and all SQL of the project."""
