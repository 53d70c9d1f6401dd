"""The edge: what a connection and a class of requests may take before anything is done for them."""
