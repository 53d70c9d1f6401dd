"""Maintenance: garbage collection, verification, backup, restore and doctor."""
