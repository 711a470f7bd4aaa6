"""The scalar that is explained: targets, and what is said of a score."""
