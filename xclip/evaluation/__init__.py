"""Measuring a model as the literature does: retrieval, classification, their protocols."""
