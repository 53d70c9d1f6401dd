"""The service: REST API, worker and command line; the only package that knows the others."""
