"""Worker: it owns the model, answers the API's model calls and pulls ingest jobs."""
