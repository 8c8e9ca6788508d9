"""What every model that is trained here shares: data, trainer, hub, calibration, vector search."""
