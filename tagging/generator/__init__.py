"""OP-TSG: tags written word by word under learnable order prompts."""
