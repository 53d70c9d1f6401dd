"""Moment retrieval: how well free events are found, bounded, believed and put in order."""
