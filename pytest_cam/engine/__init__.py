"""A model and an input in, raw maps out. Knows torch; knows no image, box, pytest or file.

The records that each call makes a dozen of are not frozen, though nobody changes them: a frozen dataclass takes three
times as long to make, which a network of a few milliseconds feels.
"""
