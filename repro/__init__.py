"""A reproduction study of *Revisiting Single-gated Mixtures of Experts* (Royer et al., BMVC 2022).

Rooms, each of which imports only from those below it::

    cli      the commands
    report   what is shown: the paper's numbers, tables, plots
    study    what was asked and kept: spec, scales, graph of steps, store
    method   how it is learned and run: the training loop, Algorithm 1, Equations 2-3
    data     what the images are        models   what is computed
    (errors, files, randomness: the ground floor, which knows none of them)
"""

__version__ = "0.1.0"
