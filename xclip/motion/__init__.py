"""Motion: the generated world of moving shapes that motion-tiny is trained on."""
