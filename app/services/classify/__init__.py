"""Zero-shot classification over stored segments and uploaded clips."""
