"""The page: a small local server over one library, and the static files that it shows."""
