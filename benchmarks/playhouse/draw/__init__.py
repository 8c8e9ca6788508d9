"""Drawing: figures, things, scenes and the camera."""
