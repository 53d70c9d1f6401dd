"""Care of what is kept: what is deleted goes, damage is noticed, and all of it can be copied."""
