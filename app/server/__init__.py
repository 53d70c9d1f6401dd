"""HTTP server: limits on connections and on classes of requests before any work is done."""
