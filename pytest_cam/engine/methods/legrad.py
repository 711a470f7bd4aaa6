"""LeGrad: Bousselham et al., ICCV 2025, arXiv 2404.03214, section 3."""

from __future__ import annotations

import torch


def legrad(attention_gradients: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean over blocks, heads and queries of relu(d s_l / d A_l), for each patch as a key.

    s_l is the score of the model's own head on the tokens after block l, and A_l are the attention probabilities of
    that block. As in the paper the gradient alone is the map, not its product with A, all queries count, those of class
    and register tokens too, the keys before the patches are left out, and so is nothing of the blocks: each counts the
    same. (The authors' code can begin at a later block.) The paper scales the result to [0, 1] at the end; this map is
    not normalised.

    Args:
        attention_gradients: d s_l / d A_l for each block, (heads, n, h, w): n queries, and the patches as keys.

    Returns:
        The map (1, h, w), >= 0, not normalised.
    """
    return torch.stack([gradient.relu().mean(dim=(0, 1)) for gradient in attention_gradients]).mean(dim=0, keepdim=True)
