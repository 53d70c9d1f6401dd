"""Video files in, segments of frames out."""
