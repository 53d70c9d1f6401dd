"""Worker: owns the model, answers the API's model calls and runs ingest jobs."""
