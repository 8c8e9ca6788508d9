"""What the speech expert hears with: voice activity, recognisers, keywords."""
