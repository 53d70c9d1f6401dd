"""The REST surface: each route parses, calls a service and shapes the answer."""
