"""From a sentence to hits: parse, candidates, fuse, rerank, explain."""
