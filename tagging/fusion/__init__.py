"""Tag fusion: what every source found in a video as one calibrated list with evidence."""
