"""Search: query, recall, rerank, moments, pages."""
