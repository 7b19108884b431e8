"""What a program is made of: weight arrays, maps, steps and paths. Integers and names only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WeightArray:
    """One of a bank's six weight arrays.

    Attributes
    ----------
    role : str
        "psi" (wavelets), "carry" (what makes the maps of the next octave) or "low" (the low-pass).
    generation : str
        "first" (reads one raw map) or "next" (reads carried maps).

    Examples
    --------
    >>> from npscatter.program.steps import WeightArray
    >>> array = WeightArray("psi", "next")
    >>> array.name, array.shape(L=8, R=4, K=5)
    ('psi_next', (8, 4, 5, 5))
    """

    role: str
    generation: str

    @property
    def name(self) -> str:
        """The name banks, steps and files have for it, e.g. "psi_first"."""
        return f"{self.role}_{self.generation}"

    @property
    def is_complex(self) -> bool:
        """Whether its taps are complex, as wavelets' are."""
        return self.role == "psi"

    def outputs(self, L: int, R: int) -> int:
        """Return how many maps it makes, of L orientations and R carried maps."""
        return {"psi": L, "carry": R, "low": 1}[self.role]

    def inputs(self, R: int) -> int:
        """Return how many maps it reads."""
        return 1 if self.generation == "first" else R

    def shape(self, L: int, R: int, K: int) -> tuple[int, int, int, int]:
        """Return its shape for kernels of K x K taps."""
        return self.outputs(L, R), self.inputs(R), K, K

    def real_shape(self, L: int, R: int, K: int) -> tuple[int, ...]:
        """Return the shape of its real numbers: wavelets' real and imaginary parts in front."""
        return ((2,) if self.is_complex else ()) + self.shape(L, R, K)


# In the order in which banks store them.
WEIGHT_ARRAYS = {
    array.name: array
    for generation in ("first", "next")
    for array in (WeightArray(role, generation) for role in ("psi", "carry", "low"))
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the planner must know of a bank: integers and one rule.

    Attributes
    ----------
    orientations : int
        L, the number of wavelets per octave, even.
    carriers : int
        R, the number of maps carried from one octave to the next.
    psi_stride : int
        1: wavelets keep the resolution and the smoothing after them halves it.
        2: wavelets halve it and the smoothing after them keeps it (the paper's network).
    next_from : str
        When the ``*_next`` weights take over from the ``*_first``: "carried" (as soon as the
        input is carried maps, not one raw map) or "octave" (from the second octave on; the
        paper's one set of weights per level, possible only for R = 1).

    Examples
    --------
    >>> from npscatter import FilterBank
    >>> FilterBank.load("accurate").architecture
    Architecture(orientations=8, carriers=4, psi_stride=1, next_from='carried')
    """

    orientations: int
    carriers: int
    psi_stride: int
    next_from: str

    def generation(self, raw: bool, octave: int) -> str:
        """Return "first" or "next": which weights apply to such maps at such an octave."""
        first = raw if self.next_from == "carried" else octave == 0
        return "first" if first else "next"


@dataclass(frozen=True, slots=True)
class Maps:
    """A run of maps in one buffer of the workspace: ``count`` maps of ``height`` x ``width``.

    Their grid is the padded image's, halved `octave` times.

    Attributes
    ----------
    buffer, first, count : int
        Number of the buffer, and which maps of it.
    height, width : int
        Of each map.
    octave : int
        How often the grid was halved.

    Examples
    --------
    >>> from npscatter import Scattering2D
    >>> Scattering2D(J=2, shape=(32, 32)).plan.image
    Maps(buffer=0, first=0, count=1, height=40, width=40, octave=0)
    """

    buffer: int
    first: int
    count: int
    height: int
    width: int
    octave: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of each map."""
        return self.height, self.width

    def __getitem__(self, part: slice) -> Maps:
        """Return some of the maps, as a slice of a list."""
        start, stop, _ = part.indices(self.count)
        return Maps(
            self.buffer, self.first + start, stop - start, self.height, self.width, self.octave
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One correlation of the program, or a modulus and the one correlation that reads it.

    With ``w`` a weight array of the bank and K its kernel size, for every group g, output map o
    and sample (y, x)::

        (w * maps)[g, o, y, x] = sum over i, a, b of
            w[o, i, a, b] * maps[g, i, s*(y + y0) + a - K//2, s*(x + x0) + b - K//2]

    s being a stride and (y0, x0) the first sample that is computed; samples beyond the edge of
    the maps are wrapped or zero, as the plan's `edge` says. Where the step has `wavelets`, it
    first takes the modulus of the correlation of the source with them, ``|psi * source|``, whose
    maps are each a group of their own in what follows. Then it correlates with `smoothing` and
    writes to the target, or emits: to the output, one channel per group.

    A transform that is not smoothed emits the moduli themselves, or their means; of the image,
    which is the path without wavelets, the source itself.

    Attributes
    ----------
    wavelets : str
        Name of the bank's wavelets whose modulus is taken first; "" for none.
    orientations : tuple of int
        Which of these wavelets are used, in this order.
    wavelet_stride : int
        Stride of the wavelets, 1 or 2.
    smoothing : str
        Name of the bank's array that smooths: carriers, or a low-pass where that is emitted; "" for
        none.
    source : Maps
        Where it reads.
    target : Maps or None
        Where it writes what it smooths; None where that is emitted, or nothing is smoothed.
    groups : int
        The source holds `groups` independent stacks.
    stride : int
        Stride of the smoothing, 1 or 2.
    first : tuple of int
        Index (y0, x0) on the target's full grid of the first sample that is computed.
    size : tuple of int
        Height and width computed of each target map.
    output : str
        What it emits: "smoothed"; "moduli", within the window, or the source where it takes none;
        "mean", the average of these; or "" for nothing.
    channels : tuple of int
        Output channel of each group that is smoothed, or could be, of a step that emits; -1 for
        moduli that are not asked for.
    window : tuple of int
        First row and column, height and width of the moduli that are emitted or averaged.

    Examples
    --------
    What takes the moduli of all wavelets of the first octave, and carries them to the next:

    >>> from npscatter import Scattering2D
    >>> steps = Scattering2D(J=2, shape=(32, 32)).plan.steps
    >>> step = next(step for step in steps if step.smoothing == "carry_first")
    >>> step.wavelets, step.stride, step.target.count
    ('psi_first', 2, 32)
    """

    wavelets: str
    orientations: tuple[int, ...]
    wavelet_stride: int
    smoothing: str
    source: Maps
    target: Maps | None
    groups: int
    stride: int
    first: tuple[int, int]
    size: tuple[int, int]
    output: str = ""
    channels: tuple[int, ...] = ()
    window: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def emits(self) -> bool:
        """Whether what it smooths goes to the output."""
        return self.output == "smoothed"

    @property
    def emits_moduli(self) -> bool:
        """Whether its moduli, or their means, go to the output."""
        return self.output in ("moduli", "mean")

    @property
    def maps_per_group(self) -> int:
        """Maps of one stack of the source."""
        return self.source.count // self.groups

    @property
    def smoothed_groups(self) -> int:
        """Stacks that are smoothed: one of every modulus, or those of the source."""
        return self.groups * max(1, len(self.orientations))

    @property
    def modulus_shape(self) -> tuple[int, int]:
        """Height and width of what is smoothed: the modulus, or the source where there is none."""
        height, width = (-(-side // self.wavelet_stride) for side in self.source.shape)
        return height, width

    @property
    def modulus_samples(self) -> int:
        """Samples of one orientation's modulus, of all groups; 0 where there is none."""
        height, width = self.modulus_shape
        return self.groups * height * width if self.wavelets else 0

    @property
    def smoothed_samples(self) -> int:
        """Samples that are computed of one target map, or channel, of all groups."""
        return self.smoothed_groups * self.size[0] * self.size[1]


@dataclass(frozen=True, slots=True)
class Path:
    """One output channel: scale j, orientation theta and n = j L + theta of each wavelet.

    Attributes
    ----------
    j, theta, n : tuple of int
        Of no wavelet, one or two.

    Examples
    --------
    >>> from npscatter import Scattering2D
    >>> path = Scattering2D(J=2, shape=(32, 32)).plan.paths[-1]
    >>> path, path.order
    (Path(j=(0, 1), theta=(7, 7), n=(7, 15)), 2)
    """

    j: tuple[int, ...]
    theta: tuple[int, ...]
    n: tuple[int, ...]

    @property
    def order(self) -> int:
        """Number of wavelet moduli along the path: 0, 1 or 2."""
        return len(self.j)
