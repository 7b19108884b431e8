"""Time and memory of transforms, construction, import: ``asv continuous main HEAD`` one up."""

import numpy as np

from npscatter import Scattering2D

# Height, width, images, J.
SIZES = {
    "100 x 32x32 J=2": (32, 32, 100, 2),
    "1 x 32x32 J=2": (32, 32, 1, 2),
    "20 x 64x64 J=2": (64, 64, 20, 2),
    "2 x 224x224 J=3": (224, 224, 2, 3),
    "1 x 1024x1024 J=4": (1024, 1024, 1, 4),
}
BANKS = ("accurate", "fast", "paper-tuned", "paper")


class Transform:
    """A call, compiled before, on one thread."""

    params = (list(SIZES), BANKS)
    param_names = ("images", "bank")

    def setup(self, size, bank):
        height, width, count, J = SIZES[size]
        self.S = Scattering2D(J, (height, width), bank=bank, threads=1)
        random = np.random.default_rng(0)
        self.images = random.random((count, height, width), np.float32)
        self.output = self.S(self.images)

    def time_call(self, size, bank):
        self.S(self.images, out=self.output)

    def peakmem_call(self, size, bank):
        self.S(self.images, out=self.output)


class Construction:
    """The plan and the bank of a transform; a bank is read once per process."""

    params = BANKS
    param_names = ("bank",)

    def setup(self, bank):
        Scattering2D(2, (32, 32), bank=bank)

    def time_large(self, bank):
        Scattering2D(4, (2048, 2048), bank=bank)


def timeraw_import():
    """Return what a new process runs."""
    return "import npscatter"
