"""What is computed on a GPU to be compared: in its simulator (always), and on a real one.

``python tests/gpu_cases.py FILE NAME...`` runs cases in a process of its own, for Numba decides on
import whether it simulates, and writes their results as an .npz file.
"""

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
from banks import bank_of

from npscatter import ArgumentError, ArgumentTypeError, Scattering2D
from npscatter.backends.gpu import launches, tiling
from npscatter.backends.gpu.tiling import Device

ARCHITECTURES = [
    "symmetric L=2 R=1",
    "symmetric L=4 R=3",
    "symmetric L=6 R=4 K=7",
    "free L=4 R=2",
    "free, one tap",
    "free, strided wavelets",
    "free, weights per octave",
    "sixteen orientations",
    "seventeen carriers",
    "wide wavelets",
    "wide smoothing",
    "wide smoothing, strided wavelets",
    "paper shape",
    "empty",
]


@dataclass(frozen=True)
class Case:
    """One transform.

    Attributes
    ----------
    bank : str
        As `banks.bank_of` takes it.
    J, shape
        The transform's.
    options : dict
        What else `Scattering2D` is given.
    dtype : str
        Of the images.
    leading : tuple of int
        Their leading shape.
    where : str
        "host", "device", "out" (on the GPU, into an array there), or "strided" (on the GPU, as a
        view that is not contiguous).
    block_bytes : int
        Shared memory of a block: little of it makes many small tiles.
    piece_bytes : int
        What goes to the GPU at a time.
    powers, levels, poisons : tuple
        Image by image: the power of two that it is multiplied by, what is added to it before, and
        what its first pixel is. Images are then the same whole numbers but for these.
    stretch : int
        Pixels from which on an image is cut to be looked through.
    prefetch : bool
        Moduli are computed an advance before they are smoothed, whatever that costs.
    tolerance : float
        Of the largest coefficient.
    """

    bank: str
    J: int
    shape: tuple[int, int]
    options: dict = field(default_factory=dict)
    dtype: str = "float32"
    leading: tuple[int, ...] = (2,)
    where: str = "host"
    block_bytes: int = Device().block_bytes
    piece_bytes: int = 2**26
    powers: tuple[int, ...] = ()
    levels: tuple[float, ...] = ()
    poisons: tuple[float, ...] = ()
    stretch: int = 2**14
    prefetch: bool = False
    tolerance: float = 2e-6

    def scattering(self, backend):
        """Return the transform."""
        bank = bank_of(self.bank)
        options = dict(self.options)
        if backend != "cuda":
            options = {name: options[name] for name in options if name not in ("storage", "memory")}
        return Scattering2D(self.J, self.shape, bank.L, bank=bank, backend=backend, **options)

    def images(self):
        """Return the images, on the host."""
        shape = *self.leading, *self.scattering("numpy").plan.input_shape
        values = np.random.default_rng(11).normal(size=shape)
        if self.powers or self.levels or self.poisons:
            return self.extreme_images(values)
        kind = np.dtype(self.dtype).kind
        if kind == "b":
            return values > 0
        return (values if kind == "f" else np.abs(100 * values)).astype(self.dtype)

    def extreme_images(self, values):
        """Return images of whole numbers from 0 on, multiplied, raised and poisoned."""
        image = np.abs(np.rint(40 * values[0]))
        image[-1, -1] = 0
        images = np.stack([image] * len(values)).astype(self.dtype)
        for image, level in zip(images, self.levels, strict=False):
            image += level
        for image, power in zip(images, self.powers, strict=False):
            image *= 2.0**power
        for image, poison in zip(images, self.poisons, strict=False):
            image[0, 0] = poison
        return images

    def run(self):
        """Return the coefficients, computed by backend="cuda", on the host."""
        from npscatter.backends.gpu import executor as cuda_executor
        from npscatter.backends.gpu.target import cuda

        allocated = cuda_executor._allocated

        def poisoned(*arguments):
            memory = allocated(*arguments)
            memory[:] = 255  # which are NaN, of any type
            return memory

        changed = {"PIECE_BYTES": self.piece_bytes, "_allocated": poisoned}
        if self.block_bytes != Device().block_bytes:
            changed["_limits"] = lambda device: Device(block_bytes=self.block_bytes)
        with mock.patch.multiple(cuda_executor, **changed), self.forced():
            return self.compute(cuda)

    @contextmanager
    def forced(self):
        """Make a sweep without a prefetch cost more, or cut small images, if that is wanted."""
        cost = tiling._cost

        def dearer(spec, one, *others):
            return cost(spec, one, *others) * (1 if one.prefetch or not self.prefetch else 1e6)

        if not self.prefetch and self.stretch == launches.STRETCH:
            yield
            return
        for function in (tiling.best_tiling, launches._lay_out):
            function.cache_clear()
        with (
            mock.patch.object(tiling, "_cost", dearer),
            mock.patch.object(launches, "STRETCH", self.stretch),
        ):
            yield
        for function in (tiling.best_tiling, launches._lay_out):
            function.cache_clear()

    def compute(self, cuda):
        S, images = self.scattering("cuda"), self.images()
        if self.where == "host":
            return in_a_row(S, S(images))
        if self.where == "out":
            out = cuda.to_device(np.zeros((*self.leading, *S.output_shape), np.float32))
            assert S(cuda.to_device(images), out=out) is out
            return out.copy_to_host()
        if self.where == "strided":
            wide = np.zeros((*images.shape[:-1], 2 * images.shape[-1]), images.dtype)
            wide[..., ::2] = images
            return S(cuda.to_device(wide)[..., ::2]).copy_to_host()
        coefficients = S(cuda.to_device(images))
        if S.average is False:
            return in_a_row(S, [{"coef": one["coef"].copy_to_host()} for one in coefficients])
        return coefficients.copy_to_host()


def in_a_row(S, coefficients):
    """Return coefficients; if they are a list of maps, all samples of an image in one row."""
    if S.average is not False:
        return coefficients
    return np.concatenate([one["coef"].reshape(*one["coef"].shape[:-2], -1)
                           for one in coefficients], -1)  # fmt: skip


# Images as they are; then of magnitudes of about 1e-10 and 1e10, and of extreme ones.
POWERS = {"powers": (0, -40, 27, -110, 100), "leading": (5,)}
FEW_POWERS = {"powers": (0, 27, -110), "leading": (3,)}
ONE = {"leading": (1,)}
ZERO, PERIODIC = {"boundary": "zero"}, {"boundary": "periodic"}
SMALL = {"block_bytes": 5000}
MODULI, MEANS, FINE = {"average": False}, {"average": "global"}, {"oversampling": 1}
SYMMETRIC, CONSTANT = {"boundary": "symmetric"}, {"boundary": "constant"}
CASES = {
    **{f"architecture: {name}": Case(name, 2, (9, 12), leading=(1,)) for name in ARCHITECTURES},
    "scale: J=1, smallest": Case("free L=4 R=2", 1, (2, 3)),
    "scale: J=1, zeros beyond": Case("symmetric L=4 R=3", 1, (5, 9), ZERO),
    "scale: J=3, kernels larger than maps": Case("symmetric L=4 R=3", 3, (8, 11), leading=(1,)),
    "scale: J=3, zeros beyond": Case("free L=4 R=2", 3, (13, 8), ZERO, leading=(1,)),
    "scale: J=4, periodic": Case("free, strided wavelets", 4, (16, 16), PERIODIC, leading=(1,)),
    "order 1": Case("symmetric L=4 R=3", 3, (16, 9), {"max_order": 1}, **ONE),
    "periodic": Case("symmetric L=4 R=3", 2, (8, 4), PERIODIC),
    "padded before": Case("free L=4 R=2", 2, (9, 6), {"pre_pad": True}),
    "padded before, zeros beyond": Case("paper shape", 2, (9, 6), {"pre_pad": True}),
    "tiles: strips and advances": Case("symmetric L=4 R=3", 2, (20, 44), leading=(1,), **SMALL),
    "tiles: zeros beyond": Case("symmetric L=4 R=3", 2, (20, 44), ZERO, leading=(1,), **SMALL),
    "tiles: strided wavelets": Case(
        "free, strided wavelets", 2, (41, 43), leading=(1,), block_bytes=8000
    ),
    "tiles: the paper's shape": Case("paper shape", 1, (40, 76), leading=(1,), block_bytes=9000),
    "tiles: wide wavelets": Case("wide wavelets", 2, (60, 9), leading=(1,), **SMALL),
    "tiles: wide smoothing": Case("wide smoothing", 2, (60, 9), leading=(1,), **SMALL),
    "tiles: wide smoothing, strided wavelets": Case(
        "wide smoothing, strided wavelets", 2, (60, 9), ZERO, leading=(1,), **SMALL
    ),
    "tiles: prefetch": Case(
        "symmetric L=4 R=3", 2, (40, 12), ZERO, leading=(1,), prefetch=True, **SMALL
    ),
    "tiles: wide wavelets, prefetch": Case(
        "wide wavelets", 2, (40, 9), leading=(1,), prefetch=True, **SMALL
    ),
    "tiles: wide smoothing, prefetch": Case(
        "wide smoothing", 2, (40, 9), leading=(1,), prefetch=True, **SMALL
    ),
    # Depth first, so that one tap smooths the image alone, row by row.
    "tiles: no halo": Case("wide wavelets", 2, (60, 20), {"memory": 10_000}, leading=(1,), **SMALL),
    "tiles: bands": Case("symmetric L=4 R=3", 1, (72, 9), leading=(1,)),
    "tiles: bands, zeros beyond": Case("free L=4 R=2", 1, (140, 5), ZERO, leading=(1,), **SMALL),
    "dtype: float64": Case("symmetric L=4 R=3", 2, (9, 12), dtype="float64", tolerance=1e-14),
    "dtype: float64, many sums": Case(
        "sixteen orientations", 2, (8, 8), dtype="float64", tolerance=1e-14, **ONE
    ),
    "dtype: uint8": Case("symmetric L=4 R=3", 2, (9, 12), dtype="uint8", **ONE),
    "dtype: int32": Case("symmetric L=4 R=3", 2, (9, 12), dtype="int32", tolerance=1e-14, **ONE),
    "dtype: bool": Case("symmetric L=4 R=3", 2, (9, 12), dtype="bool", **ONE),
    "dtype: float16": Case("symmetric L=4 R=3", 2, (9, 12), dtype="float16", **ONE),
    "dtype: big-endian": Case("symmetric L=4 R=3", 2, (9, 12), dtype=">f4", **ONE),
    "storage: float16": Case(
        "symmetric L=4 R=3", 3, (16, 16), {"storage": "float16"}, tolerance=2e-3, **ONE
    ),
    "memory: a few images at a time": Case(
        "symmetric L=4 R=3", 2, (9, 12), {"memory": 20_000}, leading=(5,), where="device"
    ),
    "memory: orientations in rounds": Case(
        "symmetric L=4 R=3", 3, (16, 16), {"memory": 10_000}, leading=(1,), where="device"
    ),
    "batch: one image": Case("symmetric L=4 R=3", 2, (9, 12), leading=()),
    "batch: two axes": Case("symmetric L=4 R=3", 1, (9, 12), leading=(2, 3)),
    "batch: in pieces": Case("symmetric L=4 R=3", 1, (9, 12), leading=(5, 1), piece_bytes=2000),
    "device": Case("symmetric L=4 R=3", 2, (9, 12), leading=(3,), where="device"),
    "device: one image": Case("symmetric L=4 R=3", 2, (9, 12), leading=(), where="device"),
    "device: into an array": Case("symmetric L=4 R=3", 2, (9, 12), leading=(3,), where="out"),
    "device: two axes": Case("symmetric L=4 R=3", 1, (8, 16), leading=(2, 2), where="strided"),
    "powers of two": Case("symmetric L=4 R=3", 2, (9, 12), **POWERS),
    "powers of two: zeros beyond": Case(
        "free L=4 R=2", 2, (9, 12), ZERO, where="device", **FEW_POWERS
    ),
    "powers of two: float64": Case(
        "symmetric L=4 R=3", 1, (9, 12), dtype="float64", powers=(0, -900, 900), leading=(3,)
    ),
    "powers of two: float16": Case(
        "symmetric L=4 R=3", 2, (9, 12), {"storage": "float16"}, tolerance=2e-3, **FEW_POWERS
    ),
    "powers of two: cut": Case("symmetric L=4 R=3", 1, (9, 12), stretch=20, **FEW_POWERS),
    "levels": Case("fast-L4", 2, (9, 8), levels=(0, 1e4, 2**20), leading=(3,)),
    "levels: float16, cut": Case(
        "fast-L4",
        2,
        (9, 8),
        {"storage": "float16"},
        levels=(0, 2**20),
        leading=(2,),
        stretch=20,
        tolerance=2e-3,
    ),
    "not finite": Case(
        "fast-L4",
        1,
        (16, 16),
        levels=(1e4,) * 4,
        poisons=(1e4, np.nan, np.inf, -np.inf),
        leading=(4,),
    ),
    "boundary: symmetric": Case("free L=4 R=2", 2, (9, 12), SYMMETRIC, **ONE),
    "boundary: constant": Case("free L=4 R=2", 2, (9, 12), CONSTANT, **ONE),
    "outputs: moduli": Case("free L=4 R=2", 3, (13, 8), MODULI, where="device", **ONE),
    "outputs: moduli, tiles": Case("symmetric L=4 R=3", 2, (41, 9), MODULI, leading=(1,), **SMALL),
    "outputs: moduli, in pieces": Case(
        "free, one tap", 2, (9, 12), MODULI, leading=(3, 1), piece_bytes=9000
    ),
    "outputs: moduli, zeros beyond": Case("free, strided wavelets", 2, (9, 12), MODULI | ZERO),
    "outputs: moduli, powers of two": Case("free L=4 R=2", 1, (9, 12), MODULI, **FEW_POWERS),
    "outputs: means": Case("symmetric L=4 R=3", 2, (41, 9), MEANS, leading=(1,)),
    "outputs: means, tiles": Case("symmetric L=4 R=3", 2, (41, 9), MEANS, leading=(1,), **SMALL),
    "outputs: means, bands": Case(
        "free, one tap", 1, (140, 5), MEANS | ZERO, leading=(1,), **SMALL
    ),
    "outputs: means, into an array": Case("free L=4 R=2", 2, (9, 12), MEANS, where="out", **ONE),
    "outputs: means, float16, cut": Case(
        "fast-L4", 2, (9, 8), MEANS | {"storage": "float16"}, stretch=20, tolerance=2e-3, **ONE
    ),
    "outputs: means, levels": Case("fast-L4", 1, (9, 8), MEANS, levels=(0, 1e4), leading=(2,)),
    "outputs: fine, tiles": Case("wide smoothing", 2, (60, 9), FINE | ZERO, leading=(1,), **SMALL),
    "outputs: some moduli": Case(
        "free L=4 R=2", 3, (13, 8), MODULI | {"paths": (9, 20, 50)}, **ONE
    ),
    "outputs: some means": Case("free L=4 R=2", 3, (13, 8), MEANS | {"paths": (9, 20, 50)}, **ONE),
    "bank: accurate": Case("accurate", 2, (16, 16), leading=(1,)),
    "bank: paper-tuned": Case("paper-tuned", 2, (17, 12), leading=(1,)),
}


def named(*prefixes):
    """Return the names of cases that begin so."""
    return [name for name in CASES if name.startswith(prefixes)]


def refusals():
    """Call in ways that are refused; return what was said."""
    from npscatter.backends.gpu.target import cuda

    case = CASES["device"]
    S, images = case.scattering("cuda"), case.images()
    x = cuda.to_device(images)
    right = np.zeros((3, *S.output_shape), np.float32)
    said = {}
    for name, call in {
        "shape": lambda: S(cuda.to_device(images[:, 1:].copy())),
        "out on the host": lambda: S(x, out=right),
        "out on the GPU": lambda: S(images, out=cuda.to_device(right)),
        "out's shape": lambda: S(x, out=cuda.to_device(right[1:])),
        "out's dtype": lambda: S(x, out=cuda.to_device(right.astype(np.float64))),
        "out's strides": lambda: S(x, out=cuda.to_device(np.asfortranarray(right))),
        "stream": lambda: S(images, stream=5),
        "threads": lambda: Scattering2D(2, (9, 12), backend="cuda", threads=2),
        "memory": lambda: Scattering2D(2, (9, 12), backend="cuda", memory=100)(images),
    }.items():
        try:
            call()
            said[name] = "nothing"
        except (ArgumentError, ArgumentTypeError) as error:
            said[name] = str(error)
    # Refused calls leave nothing behind.
    listed = Scattering2D(2, (9, 12), S.L, bank=S.bank, backend="cuda", out_type="list")(x)
    assert len(listed) == S.n_coefficients and listed[0]["coef"].shape == (3, 2, 3)
    return said


def main(path, names):
    """Run cases, or call in wrong ways, and write the results."""
    from gpu_turns import use_turns

    use_turns()
    if names == "refusals":
        Path(path).write_text(json.dumps(refusals()))
        return
    np.savez(path, **{name: CASES[name].run() for name in names})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1", "for the simulator"
    main(sys.argv[1], json.loads(sys.argv[2]))
