"""Evaluation: retrieval and classification metrics and protocols, as the literature has them."""
