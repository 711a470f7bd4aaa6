"""Many images in one pass: as many as fit into memory, and only where they leave one another's scores alone."""
