"""Vector index replicas of the collections, and their compression."""
