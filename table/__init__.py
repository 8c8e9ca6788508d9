"""TABLE: tags as anchors between video and text (model, training, evaluation)."""
