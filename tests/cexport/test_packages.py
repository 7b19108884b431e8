"""Packages of headers: libraries for Arduino and PlatformIO, components for ESP-IDF, for Zephyr.

Arduino's own builder and AVR core compile a library and its examples, and a simulator runs them.
For 32-bit cores, ESP-IDF and Zephyr there are stand-ins, in the folder ``stand_ins``: they show
that the files fit together and that the examples are right, not that the real ones take them.
"""

import hashlib
import json
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from programs import ARDUINO_CORE, program, run
from toy_classifiers import make_toy_classifier

import npscatter
from cexport import generate
from cexport.command import export_c
from cexport.package import KINDS, SUMS, package_files, write_package
from npscatter.errors import BackendError

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).with_name("stand_ins")
SMALL = {"bank": "fast-L4", "J": 1, "shape": (8, 9)}
HEADERS = {
    "float": SMALL,
    "q15": {**SMALL, "dtype": "q15"},
    "q15, order 2": {"bank": "fast-L4", "dtype": "q15", "shape": (16, 16), "rounds": 4},
    "float, prefix": {"bank": "paper", "shape": (12, 12), "prefix": "My_lib"},
}
# The published rules.
SEMANTIC_VERSION = r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?"
ARDUINO_NAME = r"[a-zA-Z0-9][a-zA-Z0-9 _.\-]{0,62}"
ARDUINO_CATEGORIES = {
    *("Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing"),
    *("Data Storage", "Data Processing", "Other"),
}
PLATFORMIO_FIELDS = {
    *("name", "version", "description", "keywords", "homepage", "authors", "license", "frameworks"),
    *("platforms", "headers", "examples"),
}


@cache
def header(name):
    return generate(**HEADERS[name])


def prefix_of(name):
    return HEADERS[name].get("prefix", "nps")


def package(kind, name="q15"):
    return package_files(kind, header(name), prefix_of(name))


def contents(folder):
    """Return the texts of a folder's files, by paths."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def properties(text):
    """Return what library.properties says."""
    pairs = [line.partition("=") for line in text.splitlines()]
    assert all(key and sign == "=" and value for key, sign, value in pairs)
    return {key: value for key, _, value in pairs}


def project():
    """Return what pyproject.toml says of the project, as text by fields."""
    text = (ROOT / "pyproject.toml").read_text().partition("[project]\n")[2].partition("\n[")[0]
    return dict(re.findall(r"^(\w[\w-]*) = (.*)$", text, re.M))


# What is written


EXPECTED = {
    "arduino": {
        *("library.properties", "library.json", "keywords.txt", "src/nps.h"),
        *("examples/Stripes/Stripes.ino", "examples/Stripes/stripes.h"),
        "examples/SelfTest/SelfTest.ino",
    },
    "esp-idf": {
        *("CMakeLists.txt", "idf_component.yml", "include/nps.h"),
        *(f"examples/stripes/{name}" for name in ("CMakeLists.txt", "main/CMakeLists.txt")),
        *(f"examples/stripes/main/{name}" for name in ("main.c", "stripes.h")),
    },
    "zephyr": {
        *("zephyr/module.yml", "CMakeLists.txt", "Kconfig", "include/nps.h"),
        *(f"samples/stripes/{name}" for name in ("CMakeLists.txt", "prj.conf", "sample.yaml")),
        *("samples/stripes/src/main.c", "samples/stripes/src/stripes.h"),
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_writes_a_package(kind, tmp_path):
    arguments = "--bank fast-L4 --J 1 --shape 8 9 --dtype q15".split()
    ran = CliRunner().invoke(export_c, [*arguments, f"--{kind}", str(tmp_path / "new")])
    assert (ran.exit_code, ran.stdout) == (0, "")
    written = contents(tmp_path / "new")
    assert written == package(kind)
    assert set(written) == EXPECTED[kind] | {"LICENSE", "README.md", SUMS}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert next(text for path, text in written.items() if path.endswith("/nps.h")) == header("q15")
    assert written["LICENSE"] == (ROOT / "LICENSE").read_text()
    # The README's own command writes the same.
    command = re.search(r"^python -m cexport (.*)$", written["README.md"], re.M)[1].split()
    ran = CliRunner().invoke(export_c, [*command, f"--{kind}", str(tmp_path / "again")])
    assert contents(tmp_path / "again") == written


def test_packages_and_the_header_are_written_at_once(tmp_path):
    arguments = "--bank fast-L4 --J 1 --shape 8 9 --dtype q15 -o".split()
    folders = [word for kind in KINDS for word in (f"--{kind}", str(tmp_path / kind))]
    ran = CliRunner().invoke(export_c, [*arguments, str(tmp_path / "nps.h"), *folders])
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert (tmp_path / "nps.h").read_text() == header("q15")
    assert {kind: contents(tmp_path / kind) for kind in KINDS} == {k: package(k) for k in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HEADERS)
def test_texts_are_plain_and_finished(kind, name):
    for path, text in package(kind, name).items():
        assert text.isascii() and text.endswith("\n") and "\r" not in text, path
        if not path.endswith((".txt", "Kconfig")):
            assert "\t" not in text, path
        assert not re.search(r"@\w+@|\bpfx|\bPFX|TODO|[ \t]$", text, re.M), path
        if path.endswith((".ino", "main.c", "stripes.h")):
            assert max(map(len, text.splitlines())) <= 100, path


@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_those_of_the_files(kind, tmp_path):
    write_package(tmp_path / "new", package(kind))
    first, *lines = (tmp_path / "new" / SUMS).read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    files = {path for path in contents(tmp_path / "new") if path != SUMS}
    assert first.startswith("# ") and set(sums) == files
    for path in files:
        content = (tmp_path / "new" / path).read_bytes()
        assert sums[path] == hashlib.sha256(content).hexdigest()


# What stands there already


def test_a_package_is_written_anew(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    for name in ("q15", "float, prefix", "float"):
        write_package(tmp_path / "link", package("arduino", name))
        assert contents(tmp_path / "empty") == package("arduino", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link"]


def edit(folder):
    (folder / "README.md").write_text("mine")


def add(folder):
    (folder / "examples" / "notes.txt").write_text("mine")


def add_folder(folder):
    (folder / "mine").mkdir()


def link(folder):
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(folder / "LICENSE")


def forget(folder):
    (folder / SUMS).write_text((folder / SUMS).read_text().partition("\n")[2])


@pytest.mark.parametrize("change", [edit, add, add_folder, link, forget])
def test_what_was_changed_is_not_lost(change, tmp_path):
    """And the command says so before it computes anything."""
    write_package(tmp_path / "old", package("arduino"))
    change(tmp_path / "old")
    before = contents(tmp_path / "old"), sorted((tmp_path / "old").rglob("*"))
    with pytest.raises(FileExistsError, match="would be lost"):
        write_package(tmp_path / "old", package("arduino", "float"))
    arguments = ["--bank", "none", "--arduino", str(tmp_path / "old")]
    ran = CliRunner().invoke(export_c, arguments)
    assert ran.exit_code == 2 and ran.stderr.count("\n") == 1
    assert "would be lost; name another folder" in ran.stderr
    assert (contents(tmp_path / "old"), sorted((tmp_path / "old").rglob("*"))) == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_folder_of_files_and_their_sums_is_no_package(tmp_path):
    (tmp_path / "data").write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    (tmp_path / SUMS).write_text(f"{digest}  data\n")
    with pytest.raises(FileExistsError, match="is not of an earlier package"):
        write_package(tmp_path, package("arduino"))
    assert (tmp_path / "data").read_text() == "mine"


def test_an_interruption_leaves_what_was_there(tmp_path, monkeypatch):
    write_package(tmp_path / "old", package("arduino"))
    write = Path.write_bytes

    def interrupted(path, content):
        if path.name == "library.json":
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    for folder in ("old", "new"):
        with pytest.raises(KeyboardInterrupt):
            write_package(tmp_path / folder, package("arduino", "float"))
    assert contents(tmp_path / "old") == package("arduino")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arduino", "{0}/none/new"], "there is no folder"),
        (["--zephyr", "{0}/file"], "is a file"),
        (["--arduino", ""], "'' names no folder"),
        (["--zephyr", "{0}/away"], "there is no folder '{0}/gone'"),
        (["--esp-idf", "{0}/loop"], "symbolic links; name another folder"),
        (["--arduino", "/proc/a"], "folder '/proc'"),
        (["--arduino", "{0}/empty/."], "holds the folder this runs in"),
        (["--arduino", "{0}/a", "--zephyr", "{0}/./a"], "within the folder of --zephyr"),
        (["--zephyr", "{0}/full", "--arduino", "{0}/full/a"], "within the folder of --zephyr"),
        (["-o", "{0}/full/x.h", "--arduino", "{0}/full"], "within the folder of --arduino"),
        (["-o", "{0}/a", "--esp-idf", "{0}/a"], "within the folder of --esp-idf"),
        (["--esp-idf", "{0}/a", "--weights-only"], "leave out --weights-only"),
    ],
)
def test_the_command_refuses_before_any_work(arguments, words, tmp_path, monkeypatch):
    monkeypatch.setattr("cexport.command.generate", pytest.fail)
    (tmp_path / "file").touch()
    (tmp_path / "away").symlink_to("gone/a")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    before = sorted(tmp_path.rglob("*"))
    ran = CliRunner().invoke(export_c, [word.format(tmp_path) for word in arguments])
    assert ran.exit_code == 2
    assert "Error: " in ran.stderr and words.format(tmp_path) in ran.stderr and not ran.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_a_package_is_not_written_around_where_one_stands(tmp_path, monkeypatch):
    write_package(tmp_path / "old", package("arduino"))
    monkeypatch.chdir(tmp_path / "old" / "src")
    with pytest.raises(FileExistsError, match="holds the folder this runs in"):
        write_package(Path(".."), package("arduino", "float"))
    assert contents(tmp_path / "old") == package("arduino")


# What it says of itself


class Installed:
    """An installed npscatter with a home page, and without a licence if so."""

    def __init__(self, licence="mine\n"):
        self.metadata, self.licence = distribution("npscatter").metadata, licence
        self.metadata["Project-URL"] = "Documentation, https://example.org/pages"
        self.metadata["Project-URL"] = "Homepage, https://example.org/home"

    def read_text(self, name):
        return self.licence if name == "LICENSE" else None


def test_the_home_page_is_told_where_there_is_one(monkeypatch):
    monkeypatch.setattr("cexport.package.distribution", lambda _: Installed())
    library = package("arduino")
    assert properties(library["library.properties"])["url"] == "https://example.org/home"
    assert json.loads(library["library.json"])["homepage"] == "https://example.org/home"
    assert library["LICENSE"] == "mine\n"
    component = yaml.safe_load(package("esp-idf")["idf_component.yml"])
    assert component["url"] == "https://example.org/home"


def test_what_is_not_known_is_not_made_up(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    for installed in (missing, lambda _: Installed(licence=None)):
        monkeypatch.setattr("cexport.package.distribution", installed)
        with pytest.raises(BackendError, match="install it"):
            package("arduino")


@pytest.mark.parametrize("name", HEADERS)
def test_library_properties_keep_the_rules(name):
    prefix, library = prefix_of(name), package("arduino", name)
    said = properties(library["library.properties"])
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph"} <= set(said)
    assert re.fullmatch(ARDUINO_NAME, said["name"]) and prefix in said["name"]
    assert not said["name"].startswith("Arduino")
    assert re.fullmatch(SEMANTIC_VERSION, said["version"])
    assert said["version"] == npscatter.__version__
    assert said["category"] in ARDUINO_CATEGORIES
    assert (said["architectures"], said["includes"]) == ("*", f"{prefix}.h")
    assert f"src/{said['includes']}" in library
    stated = project()
    assert f'"{said["author"]}"' in stated["authors"]
    assert said["sentence"] == f"{json.loads(stated['description'])}."
    assert said["license"] == json.loads(stated["license"])
    height, width = HEADERS[name]["shape"]
    assert f"images of {height} x {width} pixels" in said["paragraph"]


@pytest.mark.parametrize("name", HEADERS)
def test_library_json_keeps_the_rules(name):
    library = package("arduino", name)
    said = json.loads(library["library.json"])
    assert set(said) <= PLATFORMIO_FIELDS
    assert re.fullmatch(r"(?!.*--)[^:;/,@<>]{1,50}", said["name"])
    assert re.fullmatch(SEMANTIC_VERSION, said["version"]) and len(said["version"]) <= 20
    assert 0 < len(said["description"]) <= 255
    assert all(re.fullmatch(r"[a-z\d\-_+. ]{1,50}", word) for word in said["keywords"].split(","))
    assert f"src/{said['headers']}" in library
    for example in said["examples"]:
        assert all(f"{example['base']}/{file}" in library for file in example["files"])
        assert f"{example['name']}.ino" in example["files"]
    listed = {f"{e['base']}/{file}" for e in said["examples"] for file in e["files"]}
    assert listed == {path for path in library if path.startswith("examples/")}
    alike = properties(library["library.properties"])
    assert said["name"] == alike["name"] and said["license"] == alike["license"]
    assert [author["name"] for author in said["authors"]] == [alike["author"]]


@pytest.mark.parametrize("name", HEADERS)
def test_keywords_are_names_of_the_header(name):
    library = package("arduino", name)
    lines = [line for line in library["keywords.txt"].splitlines() if line and line[0] != "#"]
    words = dict(line.split("\t") for line in lines)
    assert len(words) > 20 and set(words.values()) == {"KEYWORD1", "KEYWORD2", "LITERAL1"}
    names = set(re.findall(r"\w+", library[f"src/{prefix_of(name)}.h"]))
    assert set(words) <= names
    types = {word for word, kind in words.items() if kind == "KEYWORD1"}
    functions = {word for word, kind in words.items() if kind == "KEYWORD2"}
    text = library[f"src/{prefix_of(name)}.h"]
    assert functions == set(re.findall(rf"^{prefix_of(name).upper()}_API \w+ (\w+)\(", text, re.M))
    assert all(re.search(rf"typedef [^;]*\b{word}\b|}} {word};", text) for word in types)


def test_manifests_of_esp_idf_and_zephyr_keep_the_rules():
    component = yaml.safe_load(package("esp-idf")["idf_component.yml"])
    assert set(component) == {"version", "description", "license"}
    assert re.fullmatch(SEMANTIC_VERSION, component["version"])
    module = package("zephyr", "float, prefix")
    said = yaml.safe_load(module["zephyr/module.yml"])
    assert said["name"] == "npscatter-My_lib"
    assert set(said) == {"name", "build", "samples"} and set(said["build"]) == {"cmake", "kconfig"}
    assert said["build"] == {"cmake": ".", "kconfig": "Kconfig"} and {"CMakeLists.txt"} <= set(
        module
    )
    assert all(f"{folder}/stripes/sample.yaml" in module for folder in said["samples"])
    sample = yaml.safe_load(module["samples/stripes/sample.yaml"])
    (test,) = sample["tests"].values()
    assert (
        test["harness_config"]["type"] == "one_line" and len(test["harness_config"]["regex"]) == 1
    )
    assert "\timply FPU\n" in module["Kconfig"] and "imply" not in package("zephyr")["Kconfig"]
    for path in ("Kconfig", "CMakeLists.txt", "samples/stripes/prj.conf"):
        assert "NPSCATTER_MY_LIB" in module[path]


def test_a_bank_of_any_name_is_told(tmp_path):
    """In the README alone; other files hold nothing that the user wrote but the prefix."""
    text = header("q15").replace("--bank fast-L4", r"--bank 'a \"b\" \\ @name@ nps_x.npz'")
    assert text != header("q15")
    written = package_files("arduino", text, "nps")
    assert """--bank 'a "b" \\ @name@ nps_x.npz' --L 4""" in written["README.md"]
    for path, content in package("arduino").items():
        if path not in ("README.md", "src/nps.h", SUMS):
            assert written[path] == content


@pytest.fixture(scope="module", params=["float", "q15"])
def classifying(request, tmp_path_factory):
    """Return a library that classifies, from a file whose name is not ASCII."""
    folder = tmp_path_factory.mktemp("classifying")
    path = make_toy_classifier("fast-L4", 1, (8, 9)).save(folder / "m \u00e9.npz")
    text = generate(**HEADERS[request.param], classifier=path)
    return package_files("arduino", text, "nps")


def test_a_package_that_classifies_says_how(classifying):
    readme = classifying["README.md"]
    assert "into 3 classes" in readme and "nps_classify(image, scores, " in readme
    words = set(re.findall(r"^(\w+)\t", classifying["keywords.txt"], re.M))
    told = {"nps_classify", "nps_score", "nps_labels", "NPS_SCORES", "NPS_CLASSES"}
    assert told <= words <= set(re.findall(r"\w+", classifying["src/nps.h"]))
    assert "classif" not in package("arduino")["README.md"]
    for text in classifying.values():
        assert text.isascii() and not re.search(r"@\w+@|\bpfx|\bPFX|[ ]$", text, re.M)


def test_a_readme_says_where_its_command_is_spelt_otherwise(classifying):
    readme = classifying["README.md"]
    assert "m \\xe9.npz'" in readme and "such as `\\xe9`, type" in readme
    assert "such as `" not in package("arduino")["README.md"]


def test_q15_libraries_know_the_exponents():
    assert "\nnps_exponents\tLITERAL1\n" in package("arduino", "q15")["keywords.txt"]
    assert "exponents" not in package("arduino", "float")["keywords.txt"]


# The examples


ACCURACY = """
#include <stdio.h>
#include "stripes.h"
int main(void)
{
    int right = 0;
    if (stripes_learn() != 0) {
        return 1;
    }
    for (uint32_t number = 0; number < 100; number++) {
        const int kind = (int)(number % 2U);
        stripes_draw(kind, 1000U + number);
        right += stripes_classify() == kind;
        stripes_draw(1 - kind, 1000U + number);
        right += stripes_classify() == 1 - kind;
    }
    printf("%d %s %s\\n", right, stripes_name(0), stripes_name(1));
    return 0;
}
"""


@pytest.mark.parametrize("name", HEADERS)
def test_stripes_are_told_apart(name, tmp_path):
    """Of 200 pictures, none of which was learned from, and as C and as C++."""
    write_package(tmp_path / "new", package("arduino", name))
    folders = [f"-I{tmp_path / 'new' / part}" for part in ("src", "examples/Stripes")]
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", *folders]
    printed = set()
    for compiler, suffix, standard in (("gcc", "c", "c99"), ("g++", "cpp", "c++11")):
        source = tmp_path / f"accuracy.{suffix}"
        source.write_text(ACCURACY)
        output = tmp_path / f"accuracy-{suffix}"
        run(compiler, f"-std={standard}", *flags, "-O1", source, "-o", output, "-lm")
        printed.add(run(output).stdout.decode())
    (line,) = printed
    right, *names = line.split()
    assert names == ["horizontal", "vertical"]
    assert int(right) >= 196


# With Arduino's own builder and AVR core


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """Return the folder that the compiled core is kept in, which all sketches share."""
    return tmp_path_factory.mktemp("core")


def built(sketch, libraries, folder, core):
    """Compile a sketch as the Arduino IDE does; return the program."""
    program("avr-gcc")
    folder.mkdir()
    run(
        *("arduino-builder", "-compile", "-fqbn", "arduino:avr:mega:cpu=atmega2560"),
        *("-hardware", "/usr/share/arduino-builder", "-hardware", ARDUINO_CORE.parents[1]),
        *("-tools", "/usr/bin", "-libraries", libraries, "-build-path", folder),
        *("-build-cache", core),
        # Debian's avr-gcc is older than the core, and has this of C alone.
        "-prefs=compiler.cpp.extra_flags=-DDECIMAL_DIG=__DECIMAL_DIG__",
        sketch,
        timeout=600,
    )
    return folder / f"{sketch.name}.elf"


def said(elf, lines):
    """Return the first lines that a program of the Mega's prints, which never ends."""
    command = [program("simavr"), "-m", "atmega2560", "-f", "16000000", str(elf)]
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as simulator:
        try:
            for line in simulator.stdout:
                # The simulator colours lines, and writes dots for what ends them.
                found.append(re.sub(r"\x1b\[\d*m|\.\.$", "", line.decode().strip()))
                if len(found) == lines:
                    break
        finally:
            simulator.kill()
    return found


@pytest.mark.parametrize("name", ["float", "q15, order 2"])
def test_arduinos_builder_and_core_compile_the_library(name, core, tmp_path):
    """And the header is right on a Mega, whose 8 KiB hold it as the guide says."""
    library = tmp_path / "libraries" / "Scattering"
    library.parent.mkdir()
    write_package(library, package("arduino", name))
    elf = built(library / "examples/SelfTest/SelfTest.ino", library.parent, tmp_path / "a", core)
    assert said(elf, 1) == ["self-test: 0, all is right"]


def test_arduinos_builder_and_core_compile_the_example(core, tmp_path):
    """And what it says on a Mega is right."""
    library = tmp_path / "libraries" / "Scattering"
    library.parent.mkdir()
    write_package(library, package("arduino"))
    elf = built(library / "examples/Stripes/Stripes.ino", library.parent, tmp_path / "a", core)
    first, *others = said(elf, 3)
    assert first == "learned from 16 pictures, status 0"
    for number, line in enumerate(others):
        kind = ("horizontal", "vertical")[number]
        pattern = rf"{kind} stripes are taken for {kind}, in \d+ microseconds; right: (\d) of (\d)"
        assert re.fullmatch(pattern, line).groups() == (str(number + 1),) * 2


# With stand-ins

# What Arduino's core for the SAM3X (Due) compiles sketches with.
SAM = """-Os -std=gnu++11 -ffunction-sections -fdata-sections -nostdlib -fno-threadsafe-statics
    --param max-inline-insns-single=500 -fno-rtti -fno-exceptions -mcpu=cortex-m3 -mthumb
    -Dprintf=iprintf -DARDUINO=10813 -DARDUINO_ARCH_SAM""".split()


@pytest.mark.parametrize("name", ["float, prefix", "q15, order 2"])
def test_sketches_compile_as_on_32_bits_and_run(name, tmp_path):
    """With the flags of a core for Arm, and on this machine; Arduino.h is a stand-in."""
    write_package(tmp_path / "new", package("arduino", name))
    folders = [f"-I{tmp_path / 'new' / 'src'}", f"-I{STAND_INS / 'arduino'}"]
    flags = [*folders, "-include", "Arduino.h", "-Wall", "-Wextra", "-Werror", "-x", "c++"]
    printed = {}
    for sketch in ("SelfTest", "Stripes"):
        source = tmp_path / "new" / "examples" / sketch / f"{sketch}.ino"
        run("arm-none-eabi-g++", *SAM, *flags, "-c", source, "-o", tmp_path / f"{sketch}.o")
        main = STAND_INS / "arduino" / "main.cpp"
        run("g++", "-std=gnu++17", *flags, source, main, "-o", tmp_path / sketch, "-lm")
        printed[sketch] = run(tmp_path / sketch).stdout.decode().splitlines()
    assert printed["SelfTest"] == ["self-test: 0, all is right"]
    assert printed["Stripes"][0] == "learned from 16 pictures, status 0"
    assert printed["Stripes"][-1].endswith("right: 10 of 10")


@pytest.mark.parametrize(
    ("kind", "project"), [("esp-idf", "examples/stripes"), ("zephyr", "samples/stripes")]
)
def test_projects_fit_together(kind, project, tmp_path, monkeypatch):
    """CMake builds the example with a stand-in for the system, which ends after ten pictures."""
    monkeypatch.setenv("IDF_PATH", str(STAND_INS / "esp-idf"))
    monkeypatch.setenv("ZEPHYR_BASE", str(STAND_INS / "zephyr"))
    write_package(tmp_path / "new", package(kind, "float, prefix"))
    build = tmp_path / "build"
    program("make")
    flags = "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror"
    run("cmake", "-S", tmp_path / "new" / project, "-B", build, flags)
    run("cmake", "--build", build)
    lines = run(build / "stripes").stdout.decode().splitlines()
    assert lines[0] == "learned, status 0" and lines[-1].endswith("right: 10 of 10")
