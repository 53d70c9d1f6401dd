"""What is measured over a whole collection on disk, beside or without a running service."""
