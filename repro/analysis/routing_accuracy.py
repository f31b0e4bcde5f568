"""Table 5: how good is the routing itself? Oracle gate, share of images routed rightly, and what the label tells.

Pure functions of :class:`Outputs` and of the classes' experts. Axes: N images, K experts, C classes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.analysis.outputs import Outputs


def with_oracle_gate(outputs: Outputs, expert_of: Tensor) -> Outputs:
    """The same model with a gate that knows each image's class: all weight on ``expert_of[label]`` (``[C]``)."""
    return replace(outputs, gate_probs=F.one_hot(expert_of[outputs.labels], outputs.num_experts).float())


def rightly_routed(outputs: Outputs, expert_of: Tensor) -> Tensor:
    """Whether the gate selects the expert of the image's class, bool ``[N]``."""
    return outputs.top_experts(1)[:, 0] == expert_of[outputs.labels]


def routed_by_base(outputs: Outputs, expert_of: Tensor) -> Tensor:
    """The expert ``[N]`` whose classes the base model gives most probability: a gate that needs no training."""
    probabilities = outputs.base_logits.softmax(-1)
    groups = torch.zeros(len(probabilities), outputs.num_experts).index_add_(1, expert_of, probabilities)
    return groups.argmax(1)


def base_with_oracle(outputs: Outputs, expert_of: Tensor) -> Tensor:
    """The base model told which group of classes the image's label is in: probabilities ``[N, C]``.

    The oracle gate knows as much. What the base gains from it is what the label gives away, without any expert.
    """
    outside = expert_of[None, :] != expert_of[outputs.labels][:, None]
    return outputs.base_logits.masked_fill(outside, -torch.inf).softmax(-1)
