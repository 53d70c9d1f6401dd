"""What an operator sees: an id on every answer and log line, metrics, and traces if asked for."""
