"""Build the web page that shows a picture's scattering coefficients: static files in one folder.

``python build.py FOLDER``, and any static web server serves it. Needs clang and wasm-ld (Debian:
clang lld) and the extra ``cli``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
from matplotlib import colormaps
from matplotlib.colors import to_hex

import cexport
from npscatter import Scattering2D
from npscatter.__main__ import run
from npscatter.atomic_write import atomic_write
from npscatter.cli.images import LUMINANCE
from npscatter.cli.options import Folder, told_in_one_line
from npscatter.errors import ArgumentError, explain
from npscatter.plots.disc import disc_geometry
from npscatter.plots.drawing import POSITIVE

HERE = Path(__file__).resolve().parent
WASM = HERE.parent / "wasm"
PICTURE = files("npscatter") / "cli" / "demo_data" / "camera.png"
BANKS = ("accurate", "fast")
SIZES = ((32, 2), (224, 3))  # sides of pictures, J


def build(folder: Path, banks: tuple[str, ...] = BANKS) -> None:
    """Write the page, one pair of modules for every bank and size, and what they mean.

    Parameters
    ----------
    folder : Path
        Made where it is missing; files of the same names are replaced, each as a whole.
    banks : tuple of str
        Shipped banks, or paths of others.

    Raises
    ------
    ClickException
        If the compiler is missing or fails.
    ArgumentError, BankError
        For a bank that is none, or several whose files have one name.
    """
    if len({Path(bank).stem for bank in banks}) < len(banks):
        rule = "must have different names, which those of the modules begin with"
        raise ArgumentError(explain("--bank", banks, rule, "name each once, or rename a file"))
    for program in (os.environ.get("CLANG", "clang"), "wasm-ld"):
        if shutil.which(program) is None:
            remedy = "Debian: apt-get install clang lld; CLANG names another clang"
            raise click.ClickException(f"{program} is not installed: {remedy}")
    transforms, contents = [], {}
    for bank in banks:
        for side, J in SIZES:
            told, modules = transform(bank, side, J)
            click.echo(f"made {told['name']}", err=True)
            transforms.append(told)
            contents.update(modules)
    known = {
        "transforms": transforms,
        "luminance": LUMINANCE,
        "colors": [to_hex(color) for color in colormaps[POSITIVE](range(256))],
    }
    contents["transforms.json"] = json.dumps(known).encode()
    contents["picture.png"] = PICTURE.read_bytes()
    # Not every server knows that .mjs is JavaScript, and browsers insist on being told.
    contents["scatter.js"] = (WASM / "scatter.mjs").read_bytes()
    contents.update((path.name, path.read_bytes()) for path in (HERE / "page").iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with atomic_write(folder / name) as file:
            file.write(content)


def transform(bank: str, side: int, J: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what the page knows of a transform, and its modules by their files' names."""
    S = Scattering2D(J, (side, side), bank=bank, L=None)
    name = f"{Path(bank).stem}-{side}"
    modules = {"module": f"{name}.wasm", "simdModule": f"{name}-simd.wasm"}
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "nps.h").write_text(cexport.generate(bank, J, (side, side)))
        command = [str(WASM / "build.sh"), temporary, temporary]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            raise click.ClickException(f"{command[0]} failed:\n{ran.stderr}")
        compiled = zip(modules.values(), ("scatter.wasm", "scatter-simd.wasm"), strict=True)
        contents = {mine: (Path(temporary) / its).read_bytes() for mine, its in compiled}
    told = {"name": name, "bank": S.bank.name, "side": side, "J": J, **modules}
    discs = [asdict(disc_geometry(S.meta(), J, S.L, order)) for order in (1, 2)]
    return {**told, "discs": discs}, contents


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=Folder(file_okay=False))
@click.option(
    "--bank",
    "banks",
    multiple=True,
    default=BANKS,
    show_default=True,
    help="A shipped bank's name, or the path of an .npz file; may be given several times.",
)
def main(folder: Path, banks: tuple[str, ...]) -> None:
    """Build the page."""
    with told_in_one_line("generating and compiling"):
        build(folder, banks)
    click.echo(f"Built. To see it: python -m http.server -d {folder}, then http://localhost:8000")


if __name__ == "__main__":
    run(main)
