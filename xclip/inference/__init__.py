"""Inference engine: the model's forward pass as fast as the processor allows."""
