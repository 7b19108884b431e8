"""The commands of the pages about C, run as they are printed, in their order."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from programs import PACKAGES, program, run

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "cexport" / "GUIDE.md"
BAREMETAL = ROOT / "cexport" / "examples" / "baremetal"
# What installs is not run: the package is there.
INSTALLS = re.compile(r"^pip install .*$", re.M)


def blocks(path, language):
    """Return the code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.M | re.S)


def execute(folder, *scripts):
    """Run scripts as a reader does; return what they print, complaints included."""
    for name in PACKAGES:
        if any(re.search(rf"(?<![\w/-]){re.escape(name)} ", script) for script in scripts):
            program(name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    script = INSTALLS.sub("", "\n".join(scripts))
    command = ["bash", "-e", "-o", "pipefail", "-c", f"exec 2>&1\n{script}"]
    return run(*command, cwd=folder, env=environment, timeout=300).stdout.decode()


@pytest.fixture
def sources(tmp_path):
    """Return a folder that looks like that of the sources."""
    for name in ("cexport", "npscatter"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_the_guides_commands(sources):
    for name, text in re.findall(
        r"^`(\w+\.\w+)`:\n\n```\w+\n(.*?)^```$", GUIDE.read_text(), re.M | re.S
    ):
        (sources / name).write_text(text)
    scripts = blocks(GUIDE, "sh")
    assert len(scripts) > 7
    printed = execute(sources, *scripts)
    # The first program, the classifier, the tests of the desktop example, its picture, the board,
    # Node's file.
    for line in (
        r"j1 = -1, theta1 = -1, j2 = -1, theta2 = -1: \d",
        r"it is a 8",
        r"100% tests passed",
        r"scatter: picture\.pgm: 256 x 256, of which the centre 32 x 32 is taken",
        r"scatter: 256 x 256, of which the centre 32 x 32 is taken",
        r"result=ok",
        r"scratch +[\d,]+ bytes",
        r"python -m cexport --bank (accurate|fast)-L4 .* -o nps\.h",
    ):
        assert re.search(f"^{line}", printed, re.M), line
    assert (sources / "coefficients.raw").stat().st_size == 4 * 81 * 8 * 8
    # Python calls the library that was made there.
    (script,) = (text for text in blocks(GUIDE, "python") if "CDLL" in text)
    run("gcc", *"-std=c99 -O3 -fPIC -shared nps.c -o libnps.so -lm".split(), cwd=sources)
    (sources / "call.py").write_text(script + "print(status, output[0].min() > 0)\n")
    assert run(sys.executable, "call.py", cwd=sources).stdout == b"0 True\n"


def test_the_commands_of_the_page_of_c(sources):
    commands = re.findall(
        r"^    (python -m cexport .*)$", (ROOT / "docs" / "c.md").read_text(), re.M
    )
    assert len(commands) == 1
    execute(sources, *commands)
    assert (sources / "nps.h").read_text().startswith("/* Scattering")


def test_the_harness_commands(sources):
    """And the one line that does without CMake; what ctest runs has its test in test_compile.py."""
    page = ROOT / "cexport" / "harness" / "README.md"
    (without_cmake,) = re.findall(r"`(cc -std=c99 .*)`", page.read_text())
    (script,) = blocks(page, "sh")
    build, tests = script.strip().rsplit("\n", 1)
    assert tests.startswith("ctest ")
    execute(sources, build, without_cmake)
    assert (sources / "build" / "harness").is_file() and (sources / "a.out").is_file()


def test_the_bare_metal_commands(tmp_path):
    """A header that the page names fits every board it names."""
    folder = tmp_path / "baremetal"
    shutil.copytree(BAREMETAL, folder)
    (script,) = blocks(BAREMETAL / "README.md", "sh")
    program("arm-none-eabi-gcc"), program("qemu-system-arm")
    printed = execute(folder, script)
    assert printed.count("result=ok") == script.count("make run") == 2
    assert "selftest=0" in printed and "undefined symbols:" in printed
