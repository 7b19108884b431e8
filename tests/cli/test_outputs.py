"""Where -o leads: what stands there is replaced whole, written to, or left alone."""

import io
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from banks import make_windowed_bank
from click.testing import CliRunner

import npscatter
from npscatter.atomic_write import atomic_write
from npscatter.cli.group import main

ROOT = Path(npscatter.__file__).parent.parent
PICTURE = ROOT / "npscatter" / "cli" / "demo_data" / "camera.png"
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
pytestmark = pytest.mark.skipif(os.name != "posix", reason="what stands where is POSIX's")


def write(path, content=b"new", force=False):
    with atomic_write(path, force) as file:
        file.write(content)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def device(path, minor):
    """Make the node of null (3) or full (7), of the test's own."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        open(path, "rb").close()
    except OSError:
        pytest.skip("this user, or this file system, may not have devices")
    return path


def test_a_device_is_written_to_and_stays(tmp_path):
    null = device(tmp_path / "null", 3)
    write(null)
    assert stat.S_ISCHR(os.stat(null).st_mode)
    full = device(tmp_path / "full", 7)
    with pytest.raises(OSError, match="No space"):
        write(full)
    assert stat.S_ISCHR(os.stat(full).st_mode)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_fifo_passes_everything_on(tmp_path):
    fifo = tmp_path / "fifo.npy"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
    reader.start()
    numbers = np.arange(50_000.0)
    with atomic_write(fifo) as file:
        np.save(file, numbers)
    reader.join(60)
    np.testing.assert_array_equal(np.load(io.BytesIO(read[0])), numbers)
    assert stat.S_ISFIFO(os.stat(fifo).st_mode)


def test_a_socket_is_refused_and_stays(tmp_path, monkeypatch):
    import socket

    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(OSError):
            write(Path("socket"))
    assert stat.S_ISSOCK(os.stat("socket").st_mode)


def test_an_error_of_a_file_names_it_and_not_the_hidden_one(tmp_path):
    (tmp_path / "link").symlink_to("missing/file")
    for path, error in ((tmp_path / ("a" * 300), OSError), (tmp_path / "link", FileNotFoundError)):
        with pytest.raises(error) as raised:
            write(path)
        assert raised.value.filename == str(path) and raised.value.filename2 is None
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(tmp_path / "new"):
        open(tmp_path / "elsewhere")  # the caller's own
    assert os.listdir(tmp_path) == ["link"]


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed_to_their_end(tmp_path, exists):
    (tmp_path / "data").mkdir()
    target = tmp_path / "data" / "target"
    if exists:
        target.write_bytes(b"old")
    (tmp_path / "second").symlink_to("data/target")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    write(tmp_path / "first")
    assert target.read_bytes() == b"new" and not target.is_symlink()
    assert (tmp_path / "first").is_symlink() and (tmp_path / "second").is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ["target"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o200])
def test_the_mode_is_kept_and_nobody_may_read_before(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    with atomic_write(path) as file:
        (partial,) = set(tmp_path.iterdir()) - {path}
        assert mode_of(partial) == 0o600
        file.write(b"new")
    assert mode_of(path) == mode
    path.chmod(0o600)
    assert path.read_bytes() == b"new"


def test_a_new_file_has_the_mode_that_files_get(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    write(tmp_path / "new")
    assert mode_of(tmp_path / "new") == mode_of(usual)


@pytest.mark.skipif(not AS_ROOT, reason="root alone can give files away")
def test_the_owner_is_kept(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 1234, 2345)
    path.chmod(0o4755)
    write(path)
    status = os.stat(path)
    assert (status.st_uid, status.st_gid, mode_of(path)) == (1234, 2345, 0o4755)
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_read_only_file_is_refused_for_root_too_unless_forced(tmp_path, through_a_link):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    name = path
    if through_a_link:
        name = tmp_path / "link"
        name.symlink_to(path)
    with pytest.raises(PermissionError, match="read-only"):
        write(name)
    assert path.read_bytes() == b"old"
    write(name, force=True)
    assert path.read_bytes() == b"new" and mode_of(path) == 0o444
    assert len(list(tmp_path.iterdir())) == 1 + through_a_link


def test_a_read_only_bank_is_not_replaced(tmp_path):
    bank = make_windowed_bank("mine")
    path = bank.save(tmp_path / "mine")
    before = path.read_bytes()
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        make_windowed_bank("mine", seed=1).save(path)
    assert path.read_bytes() == before


def test_names_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ("é" * 120 + ".npy")
    write(path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_whatever_happens_nothing_is_left_half_written(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def python(*arguments, **settings):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *map(str, arguments)], env=environment, **settings)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout")
def test_a_file_that_a_shell_appends_to_is_not_emptied(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    code = (
        "from pathlib import Path; from npscatter.atomic_write import atomic_write\n"
        "with atomic_write(Path('/dev/stdout')) as file: file.write(b'new')"
    )
    with open(log, "ab") as file:
        assert python("-c", code, stdout=file).wait(60) == 0
    assert log.read_bytes() == b"before\nnew"


COMMAND = """
import signal, sys, time
from pathlib import Path
import click
from npscatter.__main__ import run
from npscatter.cli.options import output_file, output_option

@click.command()
@output_option("File.", required=True)
def command(output):
    with output_file(output) as file:
        file.write(b"half")
        file.flush()
        print("ready", flush=True)
        time.sleep(60)

# As in a shell's foreground, wherever the tests run.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# The library and the modules of the commands leave signals as they are.
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
run(command, "command")
"""


@pytest.mark.parametrize("name, status", [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_leaves_no_partial_file(tmp_path, name, status):
    output = tmp_path / "out"
    output.write_bytes(b"old")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = python("-c", COMMAND, "-o", output, **pipes)
    assert process.stdout.readline() == "ready\n"
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(getattr(signal, name))
    _, told = process.communicate(timeout=60)
    assert process.returncode == status
    assert told.split() == ([] if status != 130 else ["Error:", "interrupted"])
    assert output.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


# The commands


def commands():
    context = main.make_context("npscatter", ["banks"])
    return {name: main.get_command(context, name) for name in main.list_commands(context)}


def test_every_output_can_be_forced():
    with_output = set()
    for name, command in commands().items():
        options = {option for parameter in command.params for option in parameter.opts}
        if "-o" in options:
            with_output.add(name)
            assert "--force" in options, name
    assert with_output >= {"demo", "plot-bank", "transform"}


GIVEN = {
    "demo": ["demo"],
    "plot-bank": ["plot-bank", "accurate"],
    "transform": ["transform", str(PICTURE), "--backend", "numpy"],
    "export-c": ["export-c"],
    "export-onnx": ["export-onnx"],
    "export-taps": ["export-taps", "accurate"],
}
SUFFIX = {"demo": ".png", "plot-bank": ".png", "transform": ".npy", "export-c": ".h"}
SUFFIX |= {"export-onnx": ".onnx", "export-taps": ".npz"}


def invoke(name, *arguments):
    from cexport.command import export_c

    given = [*GIVEN[name], *map(str, arguments)]
    if name == "export-c":  # found by its entry point only where it is installed
        return CliRunner().invoke(export_c, given[1:])
    return CliRunner().invoke(main, given)


@pytest.mark.parametrize("name", GIVEN)
def test_outputs_that_cannot_be_are_refused_before_any_work(tmp_path, monkeypatch, name):
    monkeypatch.setattr("npscatter.FilterBank.load", pytest.fail)
    monkeypatch.setattr("npscatter.cli.pipeline.job.resolve", pytest.fail)
    read_only = tmp_path / f"file{SUFFIX[name]}"
    read_only.write_bytes(b"old")
    read_only.chmod(0o444)
    loop = tmp_path / f"loop{SUFFIX[name]}"
    loop.symlink_to(loop.name)
    away = tmp_path / f"away{SUFFIX[name]}"
    away.symlink_to("gone/a.npz")
    cases = {
        away: f"no folder '{tmp_path / 'gone'}'",
        "": "names no file",
        ".": "is a folder",
        tmp_path: "is a folder",
        tmp_path / f"none/a{SUFFIX[name]}": "no folder",
        read_only / f"a{SUFFIX[name]}": "Not a directory",
        tmp_path / f"{'x' * 300}{SUFFIX[name]}": "too long",
        read_only: "is read-only; --force replaces it",
        loop: "symbolic links",
        f"/proc/a{SUFFIX[name]}": "folder '/proc'",
    }
    for output, words in cases.items():
        result = invoke(name, "-o", output)
        assert result.exit_code == 2, result.output
        assert words in result.stderr and "-o" in result.stderr
    assert read_only.read_bytes() == b"old"


READERS = [
    ("demo", "link.png", ["--bank", "mine.npz"]),
    ("plot-bank", "link.png", []),
    ("export-c", "mine.npz", ["--bank", "mine.npz"]),
    ("export-c", "mine.json", ["--bank", "mine.npz"]),
    ("export-c", "model.npz", ["--classifier", "model.npz"]),
    ("export-onnx", "mine.npz", ["--bank", "./mine.npz"]),
    ("export-taps", "mine.npz", []),
    ("transform", "mine.npz", ["--bank", "mine.npz"]),
    ("transform", "model.npz", ["--labels", "model.npz"]),
    ("transform", "model.npz", ["@model.npz"]),
    ("transform", "picture.parquet", ["picture.parquet"]),
]


@pytest.mark.parametrize(("name", "output", "options"), READERS)
def test_no_command_replaces_what_it_reads(tmp_path, monkeypatch, name, output, options):
    """Also not through a link, and not where a bank's card would be."""
    monkeypatch.chdir(tmp_path)
    make_windowed_bank("mine").save("mine")
    Path("mine.json").unlink()
    Path("link.png").symlink_to("mine.npz")
    Path("model.npz").write_text(f"{PICTURE}\n")
    Path("picture.parquet").write_bytes(PICTURE.read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setitem(GIVEN, "plot-bank", ["plot-bank", "mine.npz"])
    monkeypatch.setitem(GIVEN, "export-taps", ["export-taps", "mine.npz"])
    result = invoke(name, *options, "-o", output)
    assert result.exit_code == 2, result.output
    assert f"Error: -o='{output}': would replace" in result.stderr
    assert "; take another name" in result.stderr and result.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_dash_is_standard_output(tmp_path, monkeypatch):
    """And a file of that name has its folder before it."""
    monkeypatch.chdir(tmp_path)
    options = ["--J", "1", "--shape", "4", "4"]
    header = invoke("export-c", *options).stdout_bytes
    assert invoke("export-c", *options, "-o", "-").stdout_bytes == header
    assert os.listdir() == []
    assert invoke("export-c", *options, "-o", "./-").stdout_bytes == b""
    assert Path("-").read_bytes() == header
    for name in ("demo", "plot-bank", "transform", "export-taps"):
        result = invoke(name, "-o", "-")
        assert result.exit_code == 2 and "-o: '-' must end in" in result.stderr


def test_a_model_goes_to_standard_output_alone(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    result = invoke("export-onnx", "--J", "1", "--shape", "4", "4", "-o", "-")
    assert onnx.load_model_from_string(result.stdout_bytes).graph.input[0].name == "images"
    assert os.listdir() == []


@pytest.mark.parametrize("name", ["plot-bank", "transform", "export-c", "export-taps"])
def test_every_output_follows_links_and_forces(tmp_path, ship_from, name):
    banks = tmp_path / "banks"
    banks.mkdir()
    make_windowed_bank("accurate", R=4).save(banks / "accurate")
    ship_from(banks)
    target = tmp_path / f"target{SUFFIX[name]}"
    target.write_bytes(b"old")
    target.chmod(0o400)
    link = tmp_path / f"link{SUFFIX[name]}"
    link.symlink_to(target)
    result = invoke(name, "-o", link, "--force")
    assert result.exit_code == 0, result.output
    assert link.is_symlink() and mode_of(target) == 0o400
    target.chmod(0o600)
    assert len(target.read_bytes()) > 1000
