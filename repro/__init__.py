"""A reproduction study of mixtures of experts for small vision models: three papers, one harness, one answer."""

__version__ = "0.1.0"
