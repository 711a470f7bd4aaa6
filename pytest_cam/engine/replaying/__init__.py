"""The part of a model after one layer, run alone where that is sound."""
