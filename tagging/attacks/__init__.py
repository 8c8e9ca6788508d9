"""Attacks by what lies beside videos and in a library, for the selftest."""
