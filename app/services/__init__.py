"""Services: the use cases, without HTTP and without SQL."""
