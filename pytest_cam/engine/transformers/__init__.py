"""The attention blocks of vision transformers: probabilities, and gradients at them."""
