"""What modules return, and how it is read: class scores, grids of activations, the names of classes."""
