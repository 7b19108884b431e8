"""Toy classifiers: seeded random weights for the coefficients of any transform."""

import numpy as np
from banks import bank_of

from cexport import LinearClassifier
from npscatter import Scattering2D


def make_toy_classifier(bank="accurate-L4", J=2, shape=(9, 14), scores=3, **options):
    """Return a classifier by its number of scores; 1 tells two classes, named by text, apart.

    Options are those of the transform, and ``seed``, ``white`` and ``scale`` of its weights.
    """
    made = {name: options.pop(name, value) for name, value in DEFAULTS.items()}
    bank = bank_of(bank)
    S = Scattering2D(J, shape, bank.L, bank=bank, backend="numpy", **options)
    generator = np.random.default_rng(made["seed"])
    coef = generator.normal(size=(scores, S.n_coefficients, np.prod(S.output_shape[1:])))
    # As where features were standardised: of small coefficients large weights.
    order = np.array([path.order for path in S.plan.paths])
    coef *= made["scale"] * 10.0 ** order[:, None]
    intercept = made["scale"] * 1000 * generator.normal(size=scores)
    classes = np.arange(scores) * 7 - 7 if scores > 1 else ['a "b"', "c??/"]
    return LinearClassifier.of(S, coef.reshape(scores, -1), intercept, classes, made["white"])


DEFAULTS = {"seed": 0, "white": 255, "scale": 1e-3}
