"""What the paper's text leaves open, and what we chose: each choice is a field of the spec, or a rule in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from repro.families.single_gate.scales import default_spec


@dataclass(frozen=True)
class Choice:
    """One thing that a reproducer must decide.

    field   name of the spec's field, dotted where nested; where it is no field, what it is, in words
    place   for what is no field: the function that holds the rule
    paper   what the paper (or its poster) says of it
    reason  why the default is what it is
    """

    field: str
    paper: str
    reason: str
    place: str = ""
    fixed: str = ""

    @property
    def default(self) -> str:
        """The value at the paper's scale on CIFAR-100, read from the spec itself."""
        if self.fixed:
            return self.fixed
        value: Any = default_spec("paper", "cifar100")
        for name in self.field.split("."):
            value = getattr(value, name)
        return str(getattr(value, "source", value))


CHOICES: tuple[Choice, ...] = (
    Choice(
        "gamma",
        "γ is 'a hyperparameter' of clip(g0, γ, 1); no value is printed.",
        "5 % of all other images reach each expert: enough that no class is forgotten, and 20 experts then cost about "
        "two passes over the data.",
    ),
    Choice(
        "sharing",
        "Both weighing the loss and sampling are described and 'yield similar results'; which one made the tables is "
        "not said. The poster samples.",
        "Sampling: the poster's, and far cheaper for many experts.",
    ),
    Choice(
        "routing.similarity",
        "m is 'a similarity function' whose weights sum to 1; the poster routes 'to the closest centroid'.",
        "The poster's reading. The other choice, soft, is a softmax of minus the squared distance.",
    ),
    Choice(
        "routing.temperature",
        "Not mentioned.",
        "Only for soft m: 1 in units of the mean squared distance to the own centroid.",
    ),
    Choice(
        "routing.normalize",
        "'Clustering the base model's embeddings using K-means'; no scaling is mentioned.",
        "Taken literally: Euclidean K-means on the pre-logits as they are.",
    ),
    Choice(
        "routing.restarts",
        "Not mentioned.",
        "k-means++ and the best of three runs, so that one bad start does not decide a study.",
    ),
    Choice(
        "images for K-means and gate",
        "Not mentioned.",
        "Training images without augmentation: one embedding and one assignment an image.",
        place="repro.families.single_gate.experts.embed",
        fixed="not augmented",
    ),
    Choice(
        "direction of the KL divergence",
        "KL(g0, g) in the paper, KL(g, g*) on the poster.",
        "The paper's, which for a hard g0 is cross-entropy.",
        place="repro.families.single_gate.routing.gate_loss",
        fixed="KL(g0, g)",
    ),
    Choice(
        "gate_recipe",
        "Neither optimiser nor length is given.",
        "A convex problem on fixed embeddings: SGD for ten epochs ends close to its optimum.",
    ),
    Choice(
        "weights after smoothing",
        "Whether clipped weights are normalised again is not said.",
        "Not normalised: clip(g0, γ, 1) as printed.",
        place="repro.families.single_gate.routing.smooth",
        fixed="not renormalised",
    ),
    Choice(
        "loss under re-weighting",
        "Whether the loss is divided by the sum of the weights is not said.",
        "Weights are divided by their mean over the training set, so that a learning rate means the same for any K.",
        place="repro.families.single_gate.experts.expert_loss",
        fixed="mean weight 1",
    ),
    Choice(
        "likelihood",
        "Algorithm 1 maximises the sum of g0 e_k(y|x), a probability.",
        "Cross-entropy, its logarithm, as classifiers are trained; the printed form has vanishing gradients where an "
        "expert is wrong.",
        place="repro.families.single_gate.experts.expert_loss",
        fixed="log-likelihood",
    ),
    Choice(
        "what weighs the experts' data",
        "g0 in Algorithm 1, the trained gate g on the poster.",
        "Algorithm 1's g0.",
        place="repro.families.single_gate.algorithm1",
        fixed="g0",
    ),
    Choice(
        "expert_recipe",
        "'The same hyperparameters and data augmentations as the baseline', with 200 epochs for CIFAR-100.",
        "The base's recipe from its first learning rate on; 200 epochs is also what the Cutout recipe itself takes.",
    ),
    Choice(
        "expert_init",
        "'Initialise the experts with pretrained weights from the base model'; how tr18 experts start from a tr10 "
        "base, or tr10 experts from a tr34 base, is not said.",
        "Block i of a stage is copied to block i of the same stage as far as both have it; the rest starts fresh.",
    ),
    Choice(
        "BatchNorm of the frozen base",
        "'The features of the base model are kept frozen.'",
        "Evaluation mode: running statistics are frozen too. Experts' own BatchNorm trains.",
        place="repro.models.registry.freeze",
        fixed="evaluation mode",
    ),
    Choice(
        "space of bagging",
        "Bagging is the default; Equation 3 suggests probabilities, the poster's φ + e_k does not say.",
        "The mean of probabilities; the mean of logits is reported beside it.",
        place="repro.analysis.ensemblers.bagging",
        fixed="probabilities",
    ),
    Choice(
        "stacking network",
        "'Shallow neural networks', 'linear stacking'.",
        "One linear layer on both log-probabilities, started at their sum.",
        place="repro.families.single_gate.stacking.Stacking",
        fixed="2C to C, linear",
    ),
    Choice(
        "last or best epoch",
        "Not said.",
        "The last: choosing the best by test accuracy would be tuning on the test set.",
        place="repro.training.fit.fit",
        fixed="last",
    ),
    Choice(
        "what a seed changes",
        "'Three random seeds'; backbones are printed without a spread, so the base may have been one and the same.",
        "Everything: base, K-means, gate, order, augmentation, experts. The spread is then that of the whole method.",
        place="repro.families.single_gate.algorithm1",
        fixed="everything",
    ),
    Choice(
        "how classes are grouped for per-class routing",
        "'Following the clustering process of [34, 50]', which are two; Table 5 has one row.",
        "Both: class means in groups of equal size (HydraNets), and spectral clustering of the confusion matrix "
        "(HD-CNN), the base's mean probabilities on training images where HD-CNN counts on held-out ones.",
        place="repro.families.single_gate.class_routing",
        fixed="both",
    ),
    Choice(
        "E-step of the EM variant",
        "'New gate weights, updated based on the current experts' performance'; the derivation is in the supplement.",
        "The posterior of Equation 1, g(k|x) e_k(y|x) normalised, on training images that are not augmented; it takes "
        "g0's place, Γ included, the gate is trained anew, and experts go on from where they are.",
        place="repro.families.single_gate.em.posterior",
        fixed="posterior of Equation 1",
    ),
    Choice(
        "weights of the top-2 experts",
        "'Ensembling the top-2 experts'; how the two are weighted is not said.",
        "By the gate's probabilities, normalised over the two, as Equation 1 weighs all of them.",
        place="repro.analysis.ensemblers.top_k_experts",
        fixed="gate-weighted",
    ),
    Choice(
        "expert_length",
        "'Fewer training iterations'; whether experts of different K get as many steps is not said.",
        "Equal epochs of one's own share: an expert of twenty then takes a tenth of a single one's steps. The other "
        "choice gives each expert as many steps as a single one takes, at as many times the training.",
    ),
    Choice(
        "images that stacking is trained on",
        "Not said.",
        "Training images without augmentation, so that both networks run once an image.",
        place="repro.families.single_gate.stacking.train_stacking",
        fixed="not augmented",
    ),
    Choice(
        "what stacking costs",
        "Not counted in any table.",
        "Its 2C² multiply-adds (20,000 for 100 classes, 0.004 % of tr18) are left out of the printed MACs.",
        place="repro.models.cost.ModelCost",
        fixed="left out",
    ),
    Choice(
        "last BatchNorm of a residual branch",
        "Not said; OpenMixup, the recipe for tiny-ImageNet, starts its scale at zero (zero_init_residual).",
        "At one, torchvision's default, for every recipe.",
        place="repro.models.trnet.Residual",
        fixed="scale starts at 1",
    ),
    Choice(
        "RandomResizedCrop",
        "The recipe for tiny-ImageNet draws a box again, up to ten times, until it fits.",
        "One draw, clipped to the image, so that what is drawn is one row of a table.",
        place="repro.data.augment.resized_crop_boxes",
        fixed="one draw, clipped",
    ),
    Choice(
        "base_recipe",
        "'We follow previously established training pipelines', [9] for CIFAR-100; whether with Cutout is not said.",
        "With Cutout: the printed 77.95 % is closer to that recipe's own 78.04 % than to 77.54 % without.",
    ),
)
