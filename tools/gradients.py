"""The Torch module beside NumPy's class and Kymatio's module: time, and what gradients reach.

``python -m tools.gradients`` prints, of one run: what a call takes without a gradient, over NumPy's
call; forward and backward at 32 x 32, batch 100, J = 2, beside Kymatio's; and the PSNR of the
demo's picture, found from its coefficients by gradient descent, with either.
"""

from __future__ import annotations

import math
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import click
import kymatio
import numpy as np
import torch
from kymatio import Scattering2D as KymatioScattering2D
from PIL import Image
from torch import Tensor

import npscatter
from npscatter.torch import Scattering2D
from tools import run


@click.command(help=__doc__)
@click.option("--threads", default=None, type=int, help="Of all; all cores by default.")
@click.option("--rounds", default=15, show_default=True, help="Calls of each, in turns.")
@click.option("--steps", default=100, show_default=True, help="Of gradient descent.")
@click.option("--side", default=64, show_default=True, help="Of the picture, in pixels.")
def main(threads: int | None, rounds: int, steps: int, side: int) -> None:
    """Measure and print."""
    if threads:
        torch.set_num_threads(threads)
    print(
        f"torch {torch.__version__}, kymatio {kymatio.__version__}, npscatter "
        f"{npscatter.__version__}, {torch.get_num_threads()} threads, {cpu()}"
    )
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(100, 32, 32, generator=generator)
    S, K = Scattering2D(2, (32, 32), threads=threads), of_kymatio(2, 32)
    N = npscatter.Scattering2D(2, (32, 32), threads=threads)
    array = x.numpy()
    assert np.array_equal(N(array), S(x))
    module, numpy_class = medians([lambda: S(x), lambda: N(array)], 10 * rounds)
    print(f"without a gradient: {module / numpy_class:.3f} of NumPy's call ({1e3 * module:.1f} ms)")
    assert (S(x) - K(x)).norm() < 0.01 * K(x).norm()
    ours, theirs = medians([lambda: differentiate(S, x), lambda: differentiate(K, x)], rounds)
    print(
        f"forward and backward: {theirs / ours:.1f} times as fast as Kymatio's "
        f"({1e3 * ours:.1f} ms, {1e3 * theirs:.1f} ms)"
    )
    picture = shipped_picture(side)
    for J in (2, 3):
        for name, transform in (
            ("ours", Scattering2D(J, (side, side))),
            ("Kymatio's", of_kymatio(J, side)),
        ):
            found = invert(transform, picture, steps)
            print(f"inverse, J = {J}, {steps} steps, {name}: {psnr(found, picture):.2f} dB")


def cpu() -> str:
    """Return the processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def of_kymatio(J: int, side: int) -> torch.nn.Module:
    """Return Kymatio's module."""
    return KymatioScattering2D(J, (side, side), frontend="torch")


def medians(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    """Return the median seconds of each call; they take turns, after one that does not count."""
    for call in calls:
        call()
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


def differentiate(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the gradient of the sum of all coefficients."""
    x = x.detach().requires_grad_()
    coefficients = transform(x)
    coefficients.backward(torch.ones_like(coefficients))
    return x.grad


def shipped_picture(side: int) -> Tensor:
    """Return the demo's picture, of so many pixels a side, in 0 to 1."""
    with (files("npscatter") / "cli" / "demo_data" / "camera.png").open("rb") as file:
        grey = Image.open(file).convert("L").resize((side, side), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(grey, np.float32) / 255)


def invert(transform: Callable[[Tensor], Tensor], picture: Tensor, steps: int) -> Tensor:
    """Return the picture that gradient descent finds from its coefficients, from noise on."""
    wanted = transform(picture).detach()
    x = torch.rand(picture.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        (transform(x) - wanted).square().sum().backward()
        optimiser.step()
        schedule.step()
    return x.detach().clamp(0, 1)


def psnr(found: Tensor, picture: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB."""
    return -10 * math.log10(float((found - picture).square().mean()))


if __name__ == "__main__":
    run(main)
