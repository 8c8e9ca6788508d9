"""Attacks on what opens files of unknown origin, as anybody can run them: `tagline selftest --hostile`."""
