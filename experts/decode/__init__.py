"""What decoding a hostile file takes: the guarded child, its reader, its limits."""
