"""Transforms by their definition, and random ones that are small enough for it.

Few random cases are tried where slow tests are left out, and many where they run.
"""

from dataclasses import dataclass, field

import numpy as np
import oracle
from banks import make_toy_bank
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from npscatter import Scattering2D
from npscatter.program.padding import BOUNDARIES

# How many of them are tried, by the names of Hypothesis' profiles.
EXAMPLES = {"fast": 3, "complete": 6}


def use_profile(name):
    """Let Hypothesis try so many cases, the same ones every time."""
    settings.register_profile(
        name,
        max_examples=EXAMPLES[name],
        derandomize=True,
        database=None,
        deadline=None,
        # Not to shrink: cases are small, and each may take a compiler seconds.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile(name)


def by_definition(image, bank, J, **options):
    """Return the oracle's coefficients for a bank's weights and architecture."""
    return oracle.scattering(
        image,
        {key: bank[key] for key in bank.keys()},
        J=J,
        L=bank.L,
        R=bank.R,
        psi_stride=bank.architecture.psi_stride,
        next_from=bank.architecture.next_from,
        **{"boundary": bank.boundary, **options},
    )


@dataclass(frozen=True)
class RandomCase:
    """One transform of a toy bank, and its images.

    Attributes
    ----------
    J, shape
        The transform's.
    design : dict
        What `banks.make_toy_bank` is given.
    options : dict
        What else `Scattering2D` is given: order, boundary, padding, outputs.
    dtype : str
        Of the images.
    seed : int
        The images' own.
    """

    J: int
    shape: tuple[int, int]
    design: dict
    options: dict = field(default_factory=dict)
    dtype: str = "float64"
    seed: int = 0

    @property
    def bank(self):
        """The bank."""
        return make_toy_bank(**self.design)

    def scattering(self, backend="numpy", **others):
        """Return the transform."""
        options = {**self.options, **others}
        return Scattering2D(
            self.J, self.shape, self.design["L"], bank=self.bank, backend=backend, **options
        )

    def images(self, count=2):
        """Return noise of no mean, as large as the dtype bears."""
        shape = count, *self.scattering().plan.input_shape
        noise = np.random.default_rng(self.seed).normal(size=shape)
        return (noise if np.dtype(self.dtype).kind == "f" else 1000 * noise).astype(self.dtype)

    def expected(self, image):
        """Return the coefficients of one image, by definition; moduli in a list."""
        options = {**self.options}
        paths = options.pop("paths", None)
        if options.get("pre_pad"):
            options["shape"] = self.shape
        channels = by_definition(image, self.bank, self.J, **options)
        if paths is not None:
            channels = [channels[number] for number in paths]
        return channels if options.get("average") is False else np.array(channels)


@st.composite
def random_outputs(draw, J, design, max_order):
    """Draw what else `Scattering2D` can be asked for."""
    L = design["L"]
    options = {"average": draw(st.sampled_from([True, False, "global"]))}
    if options["average"] is True and design["psi_stride"] == 1:
        options["oversampling"] = draw(st.integers(0, 1))
    channels = 1 + L * J + (L**2 * J * (J - 1) // 2 if max_order == 2 else 0)
    if draw(st.booleans()):
        numbers = st.integers(0, channels - 1)
        chosen = st.lists(numbers, min_size=1, max_size=channels, unique=True)
        options["paths"] = draw(chosen.map(sorted))
    return options


@st.composite
def random_cases(draw, *, dtypes=("float32", "float64", "int16"), pre_pad=True, outputs=False):
    """Draw any J, sides, L, R, architecture, boundary, order and dtype, all of them small.

    And any kind of output, if wanted, of which not every executor has all.
    """
    J = draw(st.integers(1, 3))
    boundary = draw(st.sampled_from(BOUNDARIES))
    padded = pre_pad and draw(st.booleans())
    sides = st.integers(max(2, 2**J), 2**J + 7)
    if boundary == "periodic":
        sides = st.sampled_from([2**J, 2 * 2**J])
    kind = draw(st.sampled_from(["free", "symmetric"]))
    # The square exchanges the second carrier and the third.
    R = draw(st.sampled_from([1, 2, 3] if kind == "free" else [1, 3, 4]))
    design = {
        "kind": kind,
        "L": draw(st.sampled_from([2, 4])),
        "R": R,
        "psi_stride": draw(st.sampled_from([1, 2])),
        "next_from": draw(st.sampled_from(["carried", "octave"] if R == 1 else ["carried"])),
        # One tap is no derivative: symmetric carriers would be zero, which Q15 refuses.
        "K": draw(st.sampled_from([None, 3, 5, 1] if kind == "free" else [None, 3, 5])),
    }
    options = {"boundary": boundary, "max_order": draw(st.sampled_from([1, 2]))}
    if padded:
        options["pre_pad"] = True
    if outputs:
        options |= draw(random_outputs(J, design, options["max_order"]))
    return RandomCase(
        J=J,
        shape=(draw(sides), draw(sides)),
        design=design,
        options=options,
        dtype=draw(st.sampled_from(dtypes)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
