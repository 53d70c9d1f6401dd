"""Vector search inside the API: the port, its implementation, and damaged vectors."""
