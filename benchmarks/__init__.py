"""Benchmarks: measured truth about all the other rooms."""
