"""Routes of the REST API: each parses a request, calls a service and serializes the answer."""
