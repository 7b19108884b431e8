"""The figures of docs/kymatio.md: Kymatio's examples with either library, and Cheng's package.

``python -m tools.kymatio_figures --kymatio FOLDER --cheng FOLDER`` runs what the two clones are
needed for, one of them or both, writes benchmarks/results/kymatio.json and the tables on the page;
without a folder the tables alone, from the file there is. Kymatio's clone is what
``python tests/kymatio_suite.py fetch FOLDER`` makes; Cheng's is github.com/SihaoCheng/scattering.
scipy.datasets, for the picture that Kymatio's example inverts, needs pooch.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from kymatio.scattering2d.filter_bank import filter_bank
from skimage.data import camera
from tqdm import tqdm

from benchmarks import results
from benchmarks.tables import ROOT, number, percent, table, update
from npscatter import Scattering2D, features
from tools import run
from tools.teacher import quick_filters

PAGE, COMMAND, RESULT = "docs/kymatio.md", "python -m tools.kymatio_figures", "kymatio"
SUITE = "tests/kymatio_suite.py"
PACKAGES = ("numpy", "numba", "scipy", "kymatio", "torch", "scikit-learn", "scikit-image")
LIBRARIES = ("npscatter", "Kymatio")
# Side of the picture, J; of the means of coefficients, and of what is made of the moduli.
OF_COEFFICIENTS, OF_MODULI, L = ((256, 3), (256, 5)), (128, 3), 4


@dataclass(frozen=True)
class Example:
    """One of Kymatio's examples, what is changed in it besides imports, and what it says."""

    name: str
    says: str  # the lines that are kept
    changes: tuple[tuple[str, str], ...] = ()

    def command(self, folder: str, library: str) -> list[str]:
        """Return what a reader types, after ``python``."""
        own = ["--kymatio"] if library == "Kymatio" else []
        changes = [word for change in self.changes for word in ("--change", *change)]
        return [SUITE, "example", folder, self.name, *own, *changes]


INVERSION, SEEDED = (
    "plot_invert_scattering_torch.py",
    ("device = ", "torch.manual_seed(0); device = "),
)
EXAMPLES = (
    Example("plot_sklearn.py", "Accuracy"),
    Example("plot_scattering_disk.py", "coeffs shape"),
    Example(INVERSION, "PSNR", (SEEDED,)),
    Example(
        INVERSION,
        "PSNR",
        (
            SEEDED,
            ("max_iter = 15", "max_iter = 500"),
            ("[2, 4]", "[2]"),
        ),
    ),
)


def ran(example: Example, folder: Path, library: str) -> dict:
    """Run an example in a process of its own; return what it said, and the seconds it took."""
    start = time.perf_counter()
    command = [sys.executable, *example.command(str(folder.resolve()), library)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if said.returncode:
        raise click.ClickException(f"{example.name}: {said.stderr.strip()[-300:]}")
    lines = [line for line in said.stdout.splitlines() if line.startswith(example.says)]
    return {"said": lines, "seconds": round(time.perf_counter() - start, 1)}


def run_examples(folder: Path, keep: Callable[[list[dict]], None]) -> None:
    """Run all examples with both libraries, the quick ones first, and keep what is there."""
    rows: list[dict] = []
    for example in tqdm(EXAMPLES):
        runs = {library: ran(example, folder, library) for library in LIBRARIES}
        command = ["python", *example.command("FOLDER", "npscatter")]
        rows.append({"example": example.name, "command": command, "runs": runs})
        keep(rows)


def distance(computed: np.ndarray, wanted: np.ndarray) -> float:
    """Return a relative L2 error."""
    return float(np.linalg.norm(computed - wanted) / np.linalg.norm(wanted))


def picture(side: int) -> np.ndarray:
    """Return the middle of scikit-image's photographer."""
    start = 256 - side // 2
    return camera()[start : start + side, start : start + side].astype(np.float32) / 255


def of_coefficients(scattering: object, side: int, J: int) -> dict:
    """Return how far means of S1 and S2 are from Cheng's, with the low-pass and without."""
    x = picture(side)
    calculator = scattering.Scattering2d(M=side, N=side, J=J, L=L, device="cpu")
    theirs = {k: np.asarray(v[0]) for k, v in calculator.scattering_coef(x[None]).items()}
    found = {}
    for name, average in (("means over the image", True), ('`average="global"`', "global")):
        S = Scattering2D(J, x.shape, L=L, boundary="periodic", average=average)
        values, meta = S(x), S.meta()
        values = values if average == "global" else values.mean((-2, -1))
        second = meta["order"] == 2
        (j1, j2), (t1, t2) = meta["j"][second].T, meta["theta"][second].T
        errors = {
            "S1": distance(values[meta["order"] == 1].reshape(J, L), theirs["S1"]),
            "S2": distance(values[second], theirs["S2"][j1, j2, t1, t2]),
        }
        found[name] = {key: round(error, 6) for key, error in errors.items()}
    return {"side": side, "J": J, "L": L, "errors": found}


def of_moduli(scattering: object, side: int, J: int) -> dict:
    """Return how far powers and covariances of the moduli are from Cheng's."""
    x = picture(side).astype(np.float64)
    calculator = scattering.Scattering2d(M=side, N=side, J=J, L=L, device="cpu", precision="double")
    moduli = Scattering2D(J, x.shape, L=L, boundary="periodic", average=False)(x)
    powers, meta = features.powers(moduli)
    theirs = np.asarray(calculator.scattering_coef(x[None])["P00"][0])
    errors = {"P00": distance(powers[meta["order"] == 1].reshape(J, L), theirs)}
    values, meta = features.covariances(moduli, np.asarray(calculator.filters_set))
    # The array has NaN where j1 <= j2 <= j3 does not hold.
    theirs = np.asarray(calculator.scattering_cov(x[None])["C11"][0])
    chosen = np.array([name.startswith("C11") for name in features.names(meta)])
    places = (*meta["j"][chosen].T, *meta["theta"][chosen].T)
    there = np.isfinite(theirs[places])
    errors["C11"] = distance(values[chosen][there], theirs[places][there])
    found = {"`average=False`": {key: round(error, 6) for key, error in errors.items()}}
    return {"side": side, "J": J, "L": L, "errors": found}


def compare(folder: Path) -> dict:
    """Return the distances from Cheng's package, in a clone of its repository."""
    sys.path.insert(0, str(folder.resolve()))
    import scattering

    said = subprocess.run(
        ["git", "-C", str(folder), "log", "-1", "--format=%H %cs"],
        **{"capture_output": True, "text": True, "check": True},
    )
    rows = [of_coefficients(scattering, *case) for case in OF_COEFFICIENTS]
    commit, date = said.stdout.split()
    return {"commit": commit, "date": date, "rows": [*rows, of_moduli(scattering, *OF_MODULI)]}


def scatnet_factors() -> dict[str, float]:
    """Return sqrt(2 / max of the Littlewood-Paley sum) of Kymatio's wavelets, for every L."""
    factors = {}
    for orientations in (4, 6, 8):
        with quick_filters():
            wavelets = filter_bank(128, 128, 4, orientations)["psi"]
        energy = sum(np.abs(one["levels"][0]) ** 2 for one in wavelets)
        factors[str(orientations)] = round(float(np.sqrt(2 / energy.max())), 3)
    return factors


def examples() -> str:
    """Return the table of examples."""
    result = results.read(RESULT)["examples"]
    rows = []
    for row in result["rows"]:
        changes = row["command"][5:]
        changes = zip(changes[1::3], changes[2::3], strict=True)
        changed = ", ".join(f"`{old.strip()}` to `{new.strip()}`" for old, new in changes)
        cells = [f"{said(one)} ({number(one['seconds'])} s)" for one in row["runs"].values()]
        rows.append([f"`{row['example']}`", changed, *cells])
    head = ["of Kymatio's `examples/2d`", "changed besides imports", *LIBRARIES]
    note = "Seconds are those of the whole process, what it compiles included: no benchmark."
    return f"{table(head, rows)}\n\n{note} {written(result)}"


def said(one: dict) -> str:
    """Return what an example said, with four digits of its figures."""
    return "; ".join(re.sub(r"(\d\.\d{4})\d+", r"\1", line) for line in one["said"])


def cheng() -> str:
    """Return the table of distances from Cheng's package."""
    result = results.read(RESULT)["cheng"]
    rows = []
    for row in result["rows"]:
        for name, errors in row["errors"].items():
            what = f"{row['side']} x {row['side']}, J = {row['J']}, L = {row['L']}"
            told = ", ".join(f"{key} {percent(error)} %" for key, error in errors.items())
            rows.append([what, name, told])
    head = ["picture", "here", "differ by"]
    of = f"of its commit {result['commit'][:10]} of {result['date']}"
    return f"{table(head, rows)}\n\nRelative L2 distances from the values {of}. {written(result)}"


def written(result: dict) -> str:
    """Return the sentence that says what command wrote a table."""
    machine = result["environment"]
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("kymatio", "torch"))
    return (
        f"Written by `{machine['command']}` ({versions}; {machine['threads']} threads of "
        f"{machine['cpu']}): [{RESULT}.json](../benchmarks/results/{RESULT}.json)."
    )


def keep(part: str, folder: str, **found: object) -> None:
    """Put a part in the result file, with the machine it was found on."""
    known = results.read(RESULT) if results.path_of(RESULT).exists() else {}
    machine = results.environment(f"{COMMAND} --{folder} FOLDER", PACKAGES)
    results.write(RESULT, {**known, part: {"environment": machine, **found}})


@click.command(help=__doc__)
@click.option("--kymatio", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--cheng", "package", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Run nothing; say whether the tables are up to date.")
def main(kymatio: Path | None, package: Path | None, check: bool) -> None:
    """Run what a folder is given for, and write the tables."""
    if package and not check:
        keep("cheng", "cheng", **compare(package))
    if kymatio and not check:
        keep("scatnet", "kymatio", factors=scatnet_factors())
        run_examples(kymatio, lambda rows: keep("examples", "kymatio", rows=rows))
    update(PAGE, {"examples": examples, "cheng": cheng}, check, COMMAND)


if __name__ == "__main__":
    run(main)
