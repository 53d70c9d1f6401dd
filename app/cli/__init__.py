"""The command line: starting the service, and clients of its REST API."""
