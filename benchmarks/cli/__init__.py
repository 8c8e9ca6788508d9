"""The commands `tagline bench ...`."""
