"""Programs the tests run besides Python; one that is missing is a failure, not a skip."""

import shutil
import subprocess
from pathlib import Path

import pytest

# Debian's arduino-core-avr.
ARDUINO_CORE = Path("/usr/share/arduino/hardware/arduino/avr")
PACKAGES = {
    "gcc": "gcc",
    "g++": "g++",
    "clang": "clang libclang-rt-dev",
    "clang++": "clang libclang-rt-dev",
    "wasm-ld": "lld",
    "node": "nodejs",
    "nm": "binutils",
    "cmake": "cmake",
    "ctest": "cmake",
    "make": "make",
    "cppcheck": "cppcheck",
    "chromium": "chromium",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-objdump": "gcc-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-arm": "qemu-user",
    "qemu-armeb": "qemu-user",
    "qemu-riscv32": "qemu-user",
    "qemu-riscv64": "qemu-user",
    "avr-gcc": "gcc-avr avr-libc",
    "avr-g++": "gcc-avr avr-libc",
    "simavr": "simavr",
    "arduino-builder": "arduino-builder arduino-core-avr",
}


def program(name):
    """Return the path of a program; without it the test fails, and says what to install."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})")
    return path


def run(*command, code=0, timeout=120, **options):
    """Run a command that must exit with `code`; return what it printed, as bytes."""
    words = [program(str(command[0])) if command[0] in PACKAGES else str(command[0])]
    words += [str(word) for word in command[1:]]
    ran = subprocess.run(words, capture_output=True, timeout=timeout, check=False, **options)
    assert ran.returncode == code, (words, ran.returncode, ran.stdout[-2000:], ran.stderr[-4000:])
    return ran
