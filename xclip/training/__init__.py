"""Training: the contrastive loop, and the recipe of the embedded checkpoint."""
