"""The EM variant (Section 2.2): after training, ask which expert explains an image best, and train again.

The likelihood is Equation 1's, Σ_k g(k|x) e_k(y|x), with the expert's index as the hidden variable.
Axes: N training images, K experts.
"""

from __future__ import annotations

import torch
from torch import Tensor


def posterior(gate_probs: Tensor, expert_losses: Tensor) -> Tensor:
    """E-step: ``p(k | x, y) = g(k|x) e_k(y|x) / Σ_j g(j|x) e_j(y|x)``, ``[N, K]``; rows sum to 1.

    expert_losses  ``-log e_k(y|x)`` of every image and expert, ``[N, K]``

    The M-step trains the gate on it as Algorithm 1's step 3 trains it on g0, and every expert on its share.
    """
    return torch.softmax(gate_probs.double().clamp_min(1e-30).log() - expert_losses.double(), dim=1).float()
