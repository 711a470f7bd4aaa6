"""A model and an input in, raw maps out. Knows torch; knows no image, box, pytest or file.

`explaining` goes through it from one end to the other. What it stands on: `model` and `reading`, which say what a model
is made of and what its modules return; `scores`, what is explained of that; `passes`, which find the gradients, with
`transformers` and `replaying` for what needs more than one; `methods`, which make maps of them; and `cache`. The order
is a contract of import-linter.

The records that each call makes a dozen of are not frozen, though nobody changes them: a frozen dataclass takes three
times as long to make, which a network of a few milliseconds feels.
"""
