"""Ingest: uploads and URLs become stored content and a job."""
