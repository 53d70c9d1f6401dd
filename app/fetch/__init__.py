"""URL download: allow rules, an SSRF guard at the socket, one streamed request."""
