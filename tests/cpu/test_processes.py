"""The compiled executor in processes of its own: Ctrl-C, caches, other CPUs, forks, no Numba."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import time

import pytest
from processes import EQUALS_NUMPY, HASTY, IN_THREADS, ROOT, SMALL_BANK, copy_worker, run_python

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux's system calls")
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
X86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="names CPUs of x86-64"
)

SHOW_DIGEST = "print(hashlib.sha256(S(x).tobytes() + S(x[0]).tobytes()).hexdigest())"


# Ctrl-C

LONG_CALL = """
import signal, sys, time
import numpy as np
from numpy.lib.stride_tricks import as_strided
from npscatter import Scattering2D
from npscatter.backends.cpu import executor
signal.signal(signal.SIGINT, signal.default_int_handler)
side, count, threads = map(int, sys.argv[1:])
S = Scattering2D(2, (side, side), threads=threads)
# A batch that takes no memory: all its images, and all their coefficients, are in one place, which
# `Scattering2D` itself refuses.
x = np.broadcast_to(np.float32(1), (count, side, side))
out = np.empty((1, *S.output_shape), np.float32)
out = as_strided(out, (count, *S.output_shape), (0, *out.strides[1:]))
S.warmup()
print("ready", flush=True)
try:
    executor.execute(S.plan, S.bank, x, out, threads)
except KeyboardInterrupt:
    print("interrupted", flush=True)
images = np.random.default_rng(0).normal(size=(20, 32, 32)).astype(np.float32)
N = Scattering2D(2, (32, 32), backend="numpy")
S = Scattering2D(2, (32, 32), threads=threads)
expected = N(images[:2])
assert np.abs(S(images)[:2] - expected).max() < 1e-4 * expected.max()
"""


@POSIX
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("side", "count"), [(32, 10**7), (1500, 1000)])
def test_ctrl_c_is_heeded(side, count, threads):
    """In seconds, wherever machines are shared; the calls would take minutes."""
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_CALL, str(side), str(count), str(threads)],
        **{"cwd": ROOT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
    )
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(0.3)  # It has begun by then, and has minutes to go.
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
        assert output == "interrupted\n" and process.returncode == 0, errors
    finally:
        process.kill()
        process.communicate()


# The cache of compiled code


def files_in(folder):
    """Return when each file Numba keeps was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}


def test_a_second_process_compiles_nothing(tmp_path):
    """Nor the first one what another has compiled: the worker."""
    copy_worker(tmp_path)
    worker = files_in(tmp_path)
    code, cached = SMALL_BANK + EQUALS_NUMPY, {"NUMBA_CACHE_DIR": str(tmp_path)}
    run_python(code, **cached)
    compiled = files_in(tmp_path)
    assert len(compiled) >= len(worker) + 2 and worker.items() <= compiled.items()
    assert worker and not any("make_worker" in path.name for path in compiled.keys() - worker)
    run_python(code, **cached)
    assert files_in(tmp_path) == compiled
    # Other weights of the same sizes are the same code, another size is not.
    run_python(code.replace("default_rng(0)", "default_rng(1)"), **cached)
    assert files_in(tmp_path) == compiled
    run_python(code.replace("3, 3", "5, 5"), **cached)
    assert len(files_in(tmp_path)) > len(compiled)


def test_damaged_files_are_compiled_anew(tmp_path):
    """Those of a bank's kernels, cut or with one bit turned; the worker's is left whole."""
    copy_worker(tmp_path)
    code = SMALL_BANK + EQUALS_NUMPY
    run_python(code, NUMBA_CACHE_DIR=str(tmp_path))
    cut, turned = (path for path in files_in(tmp_path) if "row" in path.name)
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    content = turned.read_bytes()
    turned.write_bytes(content[:-2000] + bytes([content[-2000] ^ 16]) + content[-1999:])
    damaged = files_in(tmp_path)
    run_python(code, NUMBA_CACHE_DIR=str(tmp_path))
    replaced = {path for path, written in files_in(tmp_path).items() if written != damaged[path]}
    assert replaced == {cut, turned}


@pytest.fixture
def package(tmp_path):
    """Return a folder with a copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__", "demo_data")
    shutil.copytree(ROOT / "npscatter", tmp_path / "copy" / "npscatter", ignore=ignored)
    return tmp_path / "copy"


def test_no_code_outlives_the_sources_it_was_made_from(package, tmp_path):
    cache, simd = tmp_path / "cache", package / "npscatter" / "backends" / "cpu" / "simd.py"
    copy_worker(cache, package)
    worker = files_in(cache)

    def result():
        code = SMALL_BANK + SHOW_DIGEST
        return run_python(code, folder=package, NUMBA_CACHE_DIR=str(cache))

    before, source = result(), simd.read_bytes()
    compiled = files_in(cache)
    assert sum("make_worker" in path.name for path in compiled) == len(worker)
    simd.write_bytes(source + b"SimdEmitter.multiply_add = lambda self, a, b, c: c\n")
    assert result() != before
    anew = files_in(cache).keys() - compiled
    assert len(anew) >= 3 and any("make_worker" in path.name for path in anew)
    simd.write_bytes(source)
    compiled = files_in(cache)
    assert result() == before
    assert files_in(cache) == compiled


ONE_FUNCTION = """
import numba
from npscatter.backends import jit_cache
from npscatter.backends import reference
names = {}
exec(compile("def one(): return 1", reference.__file__, "exec"), names)
one = numba.njit(names["one"])
jit_cache.compile_cached(one, lambda: one.compile(()))
assert one() == 1
"""


def test_compiled_code_lies_outside_the_package(package, tmp_path):
    """So that nothing is left where it was installed once it is uninstalled."""
    own = {name: str(tmp_path / "own") for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA")}
    without = ["NUMBA_CACHE_DIR"]
    run_python(ONE_FUNCTION, folder=package, without=without, PYTHONDONTWRITEBYTECODE="1", **own)
    assert len(files_in(tmp_path / "own")) == 1
    assert not list(package.rglob("__pycache__"))


def test_it_works_where_no_folder_can_be_written(package):
    names = ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA")
    variables = HASTY | dict.fromkeys(names, "/dev/null/nowhere")
    run_python(SMALL_BANK + EQUALS_NUMPY, folder=package, without=["NUMBA_CACHE_DIR"], **variables)
    assert not files_in(package)


# Of either kind that is kept: a function, and a bank's kernels.
SOME_FUNCTIONS = (
    SMALL_BANK
    + ONE_FUNCTION
    + """
from npscatter.backends.cpu.executor import choose
from npscatter.backends.cpu.row_codegen import compiled_row
assert all(compiled_row(kernel).address for kernel in choose(S.plan, bank, "float64", 1, 1).kernels)
"""
)


@LINUX
def test_it_works_where_the_disk_is_full(tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    run_python(full + SOME_FUNCTIONS, NUMBA_CACHE_DIR=str(tmp_path))
    assert not files_in(tmp_path)


def test_it_works_where_numba_finds_no_place_for_a_cache(tmp_path):
    none = "from numba.core import caching; caching.CacheImpl._locator_classes = []\n"
    run_python(none + SOME_FUNCTIONS, NUMBA_CACHE_DIR=str(tmp_path))
    assert not files_in(tmp_path)


# Other CPUs

OTHER_CPU = """
import sys
import numpy as np
sys.path.insert(0, "tests")
from banks import bank_of
from tolerances import assert_equal_by_order
from npscatter import Scattering2D
from npscatter.backends.cpu import executor, simd
from npscatter.backends.cpu.row_codegen import compiled_row
size, dtype = sys.argv[1:]
assert simd.vector_bytes() == int(size)
for name, J, shape in (("fast-L4", 2, (21, 18)), ("symmetric L=4 R=3", 3, (8, 50)),
                       ("paper shape", 3, (8, 50))):
    bank = bank_of(name)
    S = Scattering2D(J, shape, L=bank.L, bank=bank)
    N = Scattering2D(J, shape, L=bank.L, bank=bank, backend="numpy")
    x = np.random.default_rng(0).normal(size=(19, *shape)).astype(dtype)
    y = S(x)
    assert y.dtype == dtype and all(np.array_equal(S(x[k]), y[k]) for k in (0, 18))
    assert_equal_by_order(y[:2], N(x[:2].astype(float)), S, x)
layout = executor.choose(S.plan, S.bank, "float32", 1, 1)
for kernel in layout.kernels:
    code = compiled_row(kernel)._library.get_asm_str()
    # Fused where the CPU can; nowhere by a call of the C library.
    assert ("vfmadd" in code) == (simd.vector_bytes() == 32)
    assert "mulps" in code and not any(name in code for name in ("fmaf", "sqrtf"))
"""


@X86
@pytest.mark.parametrize(
    ("cpu", "size", "dtype"), [("haswell", 32, "float32"), ("generic", 16, "float64")]
)
def test_other_cpus_compute_the_same(tmp_path, cpu, size, dtype):
    variables = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    run_python(OTHER_CPU, size, dtype, **variables)


# Forks, and the borders of memory


@LINUX
def test_a_forked_child_computes(tmp_path):
    """Also while a thread of its parent is computing."""
    code = """
import threading
expected, stop = in_threads(x), threading.Event()
def work():
    while not stop.is_set():
        in_threads(x)
thread = threading.Thread(target=work)
for busy in (False, True):
    if busy:
        thread.start()
    for _ in range(5):
        child = os.fork()
        if not child:
            right = all(np.array_equal(in_threads(x), expected) for _ in range(3))
            os._exit(0 if right and np.array_equal(in_threads(x[0]), expected[0]) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert np.array_equal(in_threads(x), expected)
stop.set()
thread.join()
"""
    run_python(SMALL_BANK + IN_THREADS + code)


@LINUX
def test_nothing_is_read_or_written_beyond_an_array():
    code = """
import ctypes, mmap
page, system = mmap.PAGESIZE, ctypes.CDLL(None)
def fenced(array, at_end):
    pages = -(-array.nbytes // page)
    memory = mmap.mmap(-1, (pages + 2) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for fence in (0, pages + 1):
        assert system.mprotect(ctypes.c_void_p(start + fence * page), page, 0) == 0
    place = page + (pages * page - array.nbytes if at_end else 0)
    copy = np.frombuffer(memory, array.dtype, array.size, place).reshape(array.shape)
    copy[...] = array
    return copy
for shape in ((4, 4), (5, 7), (16, 20), (33, 70), (9, 16)):
    for dtype in (np.float32, np.float64):
        for boundary in ("kymatio", "zero"):
            T = Scattering2D(2, shape, L=2, bank=bank, boundary=boundary)
            for count in (1, 3, 19):
                images = generator.normal(size=(count, *shape)).astype(dtype)
                for at_end in (False, True):
                    out = fenced(np.zeros((count, *T.output_shape), dtype), at_end)
                    T(fenced(images, at_end), out=out)
                    assert np.array_equal(out, T(images))
os._exit(0)
"""
    run_python(SMALL_BANK + code)


# Without Numba


@pytest.mark.parametrize(
    "error", ["ModuleNotFoundError", "ImportError", "OSError", "AttributeError", "SystemError"]
)
def test_without_numba_there_is_numpy(error):
    """What llvmlite raises is OSError if it cannot load LLVM; what is broken raises anything."""
    code = f"""
import importlib.abc, sys, warnings
import numpy as np
from npscatter import BackendError, BackendWarning, Scattering2D, scatter
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "numba":
            raise {error}("numba is broken")
sys.meta_path.insert(0, Broken())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    S = Scattering2D(2, (8, 8))
    assert S.backend == Scattering2D(2, (8, 8)).backend == "numpy"
    x = np.ones((8, 8))
    assert np.array_equal(S(x), Scattering2D(2, (8, 8), backend="numpy")(x))
    assert np.array_equal(S(x), scatter(x))
[warning] = caught
assert warning.category is BackendWarning and warning.filename == "<string>"
assert "backend='auto'" in str(warning.message) and "numba is broken" in str(warning.message)
try:
    Scattering2D(2, (8, 8), backend="numba")
except BackendError as refused:
    assert "numba is broken" in str(refused) and str(refused).startswith("backend='numba'")
    assert type(refused.__cause__) is {error}
else:
    raise AssertionError("accepted")
"""
    run_python(code)


SETTINGS = """
import warnings
from npscatter import BackendError, Scattering2D
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert Scattering2D(2, (8, 8)).backend == Scattering2D(2, (8, 8)).backend == "numpy"
try:
    Scattering2D(2, (8, 8), backend="numba")
except BackendError as refused:
    print(len(caught), caught[0].message, refused, sep="\\n")
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("NUMBA_DISABLE_JIT", value) for value in ("1", "yes")),
        *(("NUMBA_NUM_THREADS", value) for value in ("0", "-2", "two", "")),
    ],
)
def test_settings_that_numba_cannot_work_with_are_named(name, value):
    count, warning, refusal = run_python(SETTINGS, **{name: value}).splitlines()
    assert count == "1"
    assert warning.startswith("backend='auto': is 'numpy'")
    assert refusal.startswith("backend='numba': ")
    assert all(f"{name}={value}; unset it, or pass" in told for told in (warning, refusal))


def test_settings_that_numba_was_given_otherwise_are_heeded():
    told = run_python("import numba; numba.config.DISABLE_JIT = 1" + SETTINGS)
    assert told.count("NUMBA_DISABLE_JIT=1; unset it") == 2


def test_numba_is_the_first_choice():
    run_python(SMALL_BANK + "assert Scattering2D(2, (8, 8)).backend == S.backend == 'numba'")
