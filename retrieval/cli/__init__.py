"""The commands around search, and the front door of them all."""
