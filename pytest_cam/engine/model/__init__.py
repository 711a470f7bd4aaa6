"""What a model is made of, what a call may change in it, and putting that back."""
