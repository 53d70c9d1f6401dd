"""Model API: the internal HTTP between API and worker: client, messages, shared secret."""
