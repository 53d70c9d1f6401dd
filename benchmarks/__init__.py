"""One file a figure: each runs the real service and prints a table, or JSON with --json."""
