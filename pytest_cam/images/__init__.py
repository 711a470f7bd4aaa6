"""The user's image, the model's input, and the way between the two."""
