"""tagline: what is in your videos, and when; then the moment from a sentence."""

__version__ = "0.1.0"
