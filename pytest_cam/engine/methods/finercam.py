"""Finer-CAM: Zhang et al., arXiv 2501.11309, with Grad-CAM underneath."""

from __future__ import annotations

import torch

from pytest_cam.engine.methods.gradcam import gradcam
from pytest_cam.engine.methods.option_values import from_zero, whole, within
from pytest_cam.engine.methods.resources import ClassGradients
from pytest_cam.errors import MethodError, is_ours

__tracebackhide__ = is_ours


def finercam(
    activations: torch.Tensor,
    logits: torch.Tensor,
    target: int | None,
    class_gradients: ClassGradients,
    *,
    alpha: float = 0.6,
    classes: int = 3,
) -> torch.Tensor:
    """Return the Grad-CAM map of y_c - alpha * mean_d y_d, d being the classes most similar to the target c.

    What the target shares with its neighbours falls away, and what tells them apart stays. The most similar classes are
    those whose logits are nearest to the target's, whether above or below; of equally near ones the first. A class
    whose logit is infinite is ruled out, and is none of them.

    Args:
        activations: A of one image, (1, C, h, w).
        logits: The scores of all classes, (1, K).
        target: The explained class c, or None where a callable is explained, which is an error.
        class_gradients: From weights (1, K) to d(sum weights * logits) / dA, (1, C, h, w).
        alpha: How strongly the others are held against it, from 0 (Grad-CAM); the paper's default.
        classes: With how many classes the target is compared, the paper's default; all others where there are fewer.

    Returns:
        The map (1, h, w), >= 0, not normalised.

    Raises:
        MethodError: A callable is explained, the model has fewer than two classes, or an option is none.
    """
    strength = within("finercam", "alpha", from_zero("finercam", "alpha", alpha), logits.dtype)
    wanted = whole("finercam", "classes", classes)
    if target is None:
        raise MethodError(
            "finercam compares the explained class with others, and target is a callable; accepted: a class index, a "
            "class name, ClassLogit(...) or None. Did you mean 'gradcam'?"
        )
    if logits.shape[1] < 2:
        raise MethodError(
            f"finercam compares the explained class with others, and this model has {logits.shape[1]} logit. "
            f"A model of at least 2 classes is accepted; did you mean 'gradcam'?"
        )
    distances = (logits[0].detach().cpu().double() - float(logits[0, target])).abs()
    distances[target] = torch.inf
    # A class that is ruled out, by minus infinity, is like no other.
    similar = distances.argsort(stable=True)[: min(wanted, int(distances.isfinite().sum()))]
    weights = torch.zeros_like(logits)
    weights[0, similar.to(logits.device)] = -strength / max(1, len(similar))
    weights[0, target] = 1
    return gradcam(activations, class_gradients(weights))
