"""Training: contrastive and classification fine-tuning of X-CLIP models."""
