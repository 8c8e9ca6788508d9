"""From what happens to pictures and sound in a file."""
