"""Service: REST API, worker and command line; the only package that imports the others."""
