"""Telemetry: request ids, logs, metrics, and traces on request."""
