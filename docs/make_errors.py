"""What every public call refuses, provoked: ``docs/errors.md`` shows what is really said."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from textwrap import fill
from typing import NamedTuple
from unittest import mock

import click

import npscatter
from npscatter import errors
from npscatter.__main__ import run

PACKAGES = ("npscatter", "cexport")

# What the calls below use. What a reader would call has its own name.
PREPARATION = """
import numpy as np
import dask.array, torch, xarray
import npscatter.dask, npscatter.onnx, npscatter.sklearn, npscatter.torch, npscatter.xarray
from cexport import LinearClassifier, find_fitting, generate, simulate_q15
from npscatter import FilterBank, Scattering2D, features, plots, scatter
from npscatter.bounds import Bounds
from npscatter.onnx import make_model
from npscatter.sklearn import ScatteringTransformer
S = Scattering2D(J=2, shape=(32, 32), backend="numpy")
x, memory = np.zeros((32, 32)), np.zeros(6000)
y, meta = S(x), S.meta()
moduli = Scattering2D(J=2, shape=(32, 32), backend="numpy", average=False)(x)
bank = FilterBank.load("fast-L4")
taps = dict(bank)
design = dict(psi_stride=1, next_from="carried", boundary="kymatio")
fitted = LinearClassifier.of(S, np.ones((1, y.size)), [0], ["dark", "bright"])
words = vars(fitted) | {}
one = np.ones((1, 1, 1, 1))
many = {key: 1j * one.repeat(256, 0) if "psi" in key else one for key in taps}
of_256 = FilterBank("large", **many)
bank.save("text.npz")
with open("text.npz", "w") as file:
    file.write("no bank")
"""
# By heading: what is called.
CALLS = {
    "To construct: J, shape, L, bank and the others": [
        "Scattering2D(2.0, (32, 32))",
        "Scattering2D(6, (32, 32))",
        "Scattering2D(2, (32, 32), L=256, bank=of_256)",
        "Scattering2D(2, 32)",
        "Scattering2D(2, (0, 32))",
        "Scattering2D(2, (2**19, 32))",
        'Scattering2D(2, (30, 30), boundary="periodic")',
        "Scattering2D(2, (32, 32), L=5)",
        'Scattering2D(2, (32, 32), L=8, bank="fast-L4")',
        'Scattering2D(2, (32, 32), bank="acurate")',
        "Scattering2D(2, (32, 32), bank=7)",
        "Scattering2D(2, (32, 32), max_order=3)",
        'Scattering2D(2, (32, 32), pre_pad="yes")',
        'Scattering2D(2, (32, 32), boundary="mirror")',
        'Scattering2D(2, (32, 32), average="mean")',
        "Scattering2D(2, (32, 32), oversampling=2)",
        'Scattering2D(2, (32, 32), average="global", oversampling=1)',
        'Scattering2D(2, (32, 32), oversampling=1, bank="paper")',
        'Scattering2D(2, (32, 32), paths="all")',
        "Scattering2D(2, (32, 32), paths=[True, False])",
        "Scattering2D(2, (32, 32), paths=[])",
        "Scattering2D(2, (32, 32), paths=[81])",
        "Scattering2D(2, (32, 32), paths=[2, 1])",
        'Scattering2D(2, (32, 32), backend="torch")',
        'Scattering2D(2, (32, 32), backend="fastest")',
        'Scattering2D(2, (32, 32), backend="numpy", threads=2)',
        "Scattering2D(2, (32, 32), threads=0)",
        "Scattering2D(2, (32, 32), memory=0)",
        "Scattering2D(2, (32, 32), memory=1000)(x)",
        'Scattering2D(2, (32, 32), storage="float8")',
        'Scattering2D(2, (32, 32), backend="numpy", storage="float16")',
        'Scattering2D(2, (32, 32), out_type="dict")',
        'Scattering2D(2, (32, 32), frontend="jax")',
        "S.J = 3",
        "S.filters(after=2)",
        "S.warmup(dtype=complex)",
    ],
    "To transform: x and out": [
        "S(None)",
        'S("cat.png")',
        "S([np.zeros((32, 32)), np.zeros((30, 32))])",
        "S(np.zeros(1024))",
        "S(np.zeros((10, 1024)))",
        "S(np.zeros((28, 28)))",
        "S(np.zeros((10, 32, 32, 3)))",
        "scatter(np.zeros((10, 32, 32, 3)))",
        "scatter(np.zeros((10, 0, 32)))",
        "scatter(np.zeros((30, 32)), pre_pad=True)",
        "S(np.zeros((32, 32), complex))",
        "S(np.ma.masked_equal(x, 0))",
        "S(torch.zeros(32, 32, requires_grad=True))",
        "S(dask.array.zeros((32, 32)))",
        "S(x, out=[])",
        "S(x, out=np.empty((8, 8, 81)))",
        "S(x, out=np.empty((81, 8, 8), np.float32))",
        "S(x, out=np.broadcast_to(0.0, (81, 8, 8)))",
        "S(x, out=np.lib.stride_tricks.as_strided(np.empty(99), (81, 8, 8), (8, 8, 8)))",
        "S(memory[:1024].reshape(32, 32), out=memory[:5184].reshape(81, 8, 8))",
        "Scattering2D(2, (32, 32), average=False)(x, out=y)",
        "S(x, stream=0)",
    ],
    "Banks": [
        'FilterBank.load("mine.npz")',
        'FilterBank.load("text.npz")',
        'FilterBank("", **taps, **design)',
        'FilterBank("mine", **taps | {"low_next": np.ones((1, 4, 4, 4))}, **design)',
        'FilterBank("mine", **taps | {"low_next": taps["low_next"] * np.nan}, **design)',
        'FilterBank("mine", **taps, **design, card={"sha256": "0"})',
        'FilterBank("mine", **taps, **design, card={"seed": {1, 2}})',
        'FilterBank("mine", **taps, **design, card={"family": 7})',
        'FilterBank("mine", **taps, **design | {"boundary": "mirror"})',
        'bank.export_taps("taps.h")',
        'bank.export_taps("taps.npz", dtype="int8")',
    ],
    "npscatter.features: values, meta, axis": [
        "features.spatial_mean([[1]], meta)",
        "features.spatial_mean(y, {})",
        "features.logarithm(y, meta, axis=1)",
        "features.spatial_mean(y[:3], meta)",
        "features.select(y, meta, order=3)",
        "features.logarithm(y, meta, floor=0)",
        "features.isotropic(*features.select(y, meta, theta=0))",
        "features.normalized(*features.select(y, meta, order=2))",
        "features.s21(*features.select(y, meta, order=1))",
        "features.relative_errors(y, y[:1], meta)",
        "features.logarithm(1j * y, meta)",
        "features.covariances(moduli, np.ones((4, 4)))",
        "features.covariances(moduli, np.ones((2, 8, 4, 4)))",
        "features.powers([])",
        "features.powers(y)",
    ],
    "npscatter.plots: S, y, view, position, axes": [
        "plots.plot_coefficients(y, S)",
        "plots.plot_coefficients(S, y[:3])",
        'plots.plot_coefficients(S, y, view="rose")',
        "plots.plot_coefficients(S, y, position=(9, 9))",
        'plots.plot_coefficients(S, y, view="maps", position=(0, 0))',
        "plots.plot_coefficients(S, y * np.nan)",
        "plots.plot_coefficients(S, y, axes=[1, 2, 3])",
    ],
    "npscatter.torch: x": [
        "npscatter.torch.Scattering2D(2, (32, 32))(x)",
        "npscatter.torch.Scattering2D(2, (32, 32))(torch.zeros(32, 32, dtype=torch.complex64))",
        "npscatter.torch.Scattering2D(2, (32, 32))(torch.zeros(32, 32).to_sparse())",
        "npscatter.torch.Scattering2D(2, (32, 32))(torch.zeros(28, 28))",
    ],
    "npscatter.sklearn: X, shape, summary": [
        "ScatteringTransformer(J=1).fit(np.zeros((10, 64)))",
        "ScatteringTransformer(J=1, shape=(8, 8)).fit(np.zeros((10, 65)))",
        "ScatteringTransformer(J=1).fit(np.zeros((1, 1, 1, 8, 8)))",
        "ScatteringTransformer(J=1).fit(np.zeros((10, 16, 16, 3)))",
        'ScatteringTransformer(J=1, summary="median").fit(np.zeros((2, 8, 8)))',
        'ScatteringTransformer(J=1, summary="square").fit(np.zeros((2, 8, 8)))',
        'ScatteringTransformer(J=1, summary=("mean", "std")).fit(np.zeros((2, 8, 8)))',
        "ScatteringTransformer(J=1, summary=3).fit(np.zeros((2, 8, 8)))",
        "ScatteringTransformer(J=1, batch_size=0).fit_transform(np.zeros((2, 8, 8)))",
    ],
    "npscatter.dask and npscatter.xarray: x, dims, options": [
        "npscatter.dask.scatter(x, J=2)",
        "npscatter.dask.scatter(dask.array.zeros(32), J=2)",
        "npscatter.dask.scatter(dask.array.zeros((32, 32)), J=2, stream=0)",
        "npscatter.dask.scatter(dask.array.zeros((32, 32)), J=2, average=False)",
        "npscatter.xarray.scatter(x, J=2)",
        "npscatter.xarray.scatter(xarray.DataArray(np.zeros(32)), J=2)",
        'npscatter.xarray.scatter(xarray.DataArray(x), J=2, dims=("y", "x"))',
    ],
    "npscatter.onnx: S, batch, dtype": [
        "make_model(Scattering2D)",
        "make_model(Scattering2D(2, (32, 32), average=False))",
        'make_model(S, dtype="int8")',
        'make_model(S, batch="N")',
        'make_model(S, batch=("N", "M"))',
        'make_model(S, batch=("number of images",))',
        'make_model(S, batch=(10**6, 10**6, "N"))',
    ],
    "npscatter.bounds: shape, order, displacement, boundary": [
        'Bounds("fast-L4", 2, 2, (2**18, 32))',
        'Bounds("fast-L4", 2, 2, (32, 32)).lipschitz(order=5)',
        'Bounds("fast-L4", 2, 2, (32, 32)).shift((1, 0))',
        'Bounds("fast-L4", 2, 2, (32, 32), boundary="periodic").shift((10**9, 0))',
        'Bounds("fast-L4", 2, 2, (32, 32)).deformation(attempts=0)',
        'Bounds("fast-L4", 2, 2, (32, 32)).deformation(seed=-1)',
    ],
    "cexport: prefix, dtype, rounds, classifier and the others": [
        'generate(prefix="2d")',
        'generate(prefix="nps_")',
        'generate(prefix="strange")',
        'generate(prefix="nps_OUT")',
        'generate(dtype="int8")',
        "generate(rounds=99)",
        'generate(target="tiny")',
        "generate(shape=(70000, 32))",
        "generate(weights_only=True, classifier='model.npz')",
        "generate(shape=(16, 16), classifier=fitted)",
        'generate(classifier="none.npz")',
        'find_fitting("32 kilo", "16K")',
        'find_fitting(0, "16K")',
        "simulate_q15(x)",
        "simulate_q15(np.zeros(32, np.uint8))",
        "LinearClassifier(**words | {'intercept': [0, 0]})",
        "LinearClassifier(**words | {'classes': ['one', 'one']})",
        "LinearClassifier(**words | {'white': 0})",
        "LinearClassifier(**words | {'coef': np.ones((1, 3, 3))})",
        "LinearClassifier.of(S, np.ones((1, 7)), [0], [0, 1])",
        "LinearClassifier.of(x, np.ones((1, 1024)), [0], [0, 1])",
        "LinearClassifier.from_sklearn(S)",
    ],
}
WARNINGS = {
    "BankWarning": """
from npscatter import FilterBank
bank = FilterBank.load("accurate")
taps = dict(bank)
taps["carry_next"] = 2 * taps["carry_next"]
FilterBank("unstable", **taps, boundary="kymatio").save("unstable.npz")
FilterBank.load("unstable.npz")
""",
    "BackendWarning": """
from npscatter import Scattering2D
Scattering2D(2, (32, 32))
""",
}


class Said(NamedTuple):
    """What a call is answered with: the class, and the parts of what it says."""

    call: str
    kind: str
    fault: str
    remedy: str


@contextmanager
def _elsewhere() -> Iterator[None]:
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)


@contextmanager
def _recorded() -> Iterator[dict[str, tuple[str, str]]]:
    """Let every error's fault and remedy be told apart, by its message."""
    parts: dict[str, tuple[str, str]] = {}

    def explain(argument: str, value: object, rule: str, remedy: str) -> str:
        message = errors.explain(argument, value, rule, remedy)
        remedy = errors.one_line(remedy)
        parts[message] = message.removesuffix(remedy).removesuffix("; "), remedy
        return message

    ours = [module for name, module in sys.modules.items() if name.startswith(PACKAGES)]
    with ExitStack() as stack:
        for module in ours:
            if getattr(module, "explain", None) is errors.explain and module is not errors:
                stack.enter_context(mock.patch.object(module, "explain", explain))
        yield parts


def provoked() -> dict[str, list[Said]]:
    """Return what every one of `CALLS` raises."""
    with _elsewhere(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scope: dict = {}
        exec(PREPARATION, scope)
        with _recorded() as parts:
            return {
                title: [_said(call, scope, parts) for call in calls]
                for title, calls in CALLS.items()
            }


def _said(call: str, scope: dict, parts: dict[str, tuple[str, str]]) -> Said:
    try:
        exec(call, scope)
    except Exception as error:
        message = str(error).partition(" [in a call of ")[0]
        if message not in parts:
            raise AssertionError(f"{call} raises {error!r}, which is not ours") from error
        return Said(call, type(error).__name__, *parts[message])
    raise AssertionError(f"{call} raises nothing")


def warned() -> dict[str, str]:
    """Return what the warnings of `WARNINGS` say."""
    found = {}
    for kind, code in WARNINGS.items():
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        if kind == "BackendWarning":
            environment["NUMBA_DISABLE_JIT"] = "1"
        with _elsewhere():
            done = subprocess.run(
                [sys.executable, "-W", "always", "-c", code],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
        (line,) = [line for line in done.stderr.splitlines() if f" {kind}: " in line]
        found[kind] = line.partition(f"{kind}: ")[2]
    return found


def classes() -> list[tuple[str, str, str]]:
    """Return the public exceptions and warnings: name, what they are besides, what they mean."""
    rows = []
    for name in npscatter.__all__:
        one = getattr(npscatter, name)
        if isinstance(one, type) and issubclass(one, BaseException):
            bases = [base.__name__ for base in one.__mro__[1:-1]]
            shown = [base for base in bases if base not in ("BaseException", "Exception")]
            rows.append((name, ", ".join(shown), one.__doc__.splitlines()[0]))
    return rows


def page() -> str:
    """Return the generated part of the page of errors."""
    lines = ["| class | is also | raised, or warned, if |", "|---|---|---|"]
    for name, bases, meaning in classes():
        others = ", ".join(f"`{base}`" for base in bases.split(", "))
        lines.append(f"| {{class}}`npscatter.{name}` | {others} | {meaning} |")
    lines += ["", "<!-- classes -->", ""]
    lines += [f"`{kind}`:\n\n```text\n{fill(text, 90)}\n```\n" for kind, text in warned().items()]
    lines += ["<!-- warnings -->", ""]
    for title, said in provoked().items():
        lines += [f"## {title}", "", "| call | raises | which says |", "|---|---|---|"]
        for one in said:
            cells = f"`{one.call}`", f"`{one.kind}`", f"`{one.fault}`; **{one.remedy}**"
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


@click.command(help=__doc__)
def main() -> None:
    """Print the tables."""
    click.echo(page())


if __name__ == "__main__":
    run(main)
