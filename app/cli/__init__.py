"""Command line: starts the service, and calls its REST API as a client."""
