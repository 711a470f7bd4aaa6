"""A model and an input in, raw maps out. Knows torch; knows no image, box, pytest or file."""
