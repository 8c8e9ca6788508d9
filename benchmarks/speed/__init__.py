"""Speed of every stage, as a ratio: against the plain way to script it, and against the machine's floor."""
