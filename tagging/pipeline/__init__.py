"""The run: walk the folders, plan what is stale, look, write down, say how far it is."""
