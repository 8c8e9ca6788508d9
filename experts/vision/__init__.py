"""What the experts that look share: fitting of pictures, the detector."""
