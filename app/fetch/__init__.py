"""Video files fetched from URLs that strangers name: rules, a guard at the socket, one download."""
