"""Video: reads files and returns segments of frames."""
