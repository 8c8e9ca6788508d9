"""The answers of the page's interface, one file an idea."""
