"""Training recipe of motion-tiny, in four stages."""
