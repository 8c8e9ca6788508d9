"""One tagger: what every source says of a video, merged into one calibrated list with evidence."""
