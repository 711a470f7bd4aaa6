"""One forward pass, with gradients from the layer onwards and none before; backward passes that stop there."""
