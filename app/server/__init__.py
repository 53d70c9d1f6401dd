"""HTTP server: connection limits, admission control and load shedding before any work is done."""
