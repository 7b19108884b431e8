"""What must agree before anything is timed on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.gpu.contestants import KYMATIO as KYMATIO_TORCH
from benchmarks.gpu.contestants import NETWORK, Contestant, Ours, scattering
from benchmarks.verify import KYMATIO, SAME_BACKEND, SAME_NETWORK, MismatchError
from benchmarks.workloads import Workload
from npscatter import FilterBank, Scattering2D, list_banks
from npscatter.gpu.launches import lay_out
from npscatter.gpu.target import cuda
from npscatter.metrics import relative_errors

# Largest error allowed, as a share of the largest coefficient of the order, against the program in
# double precision; each leaves some room. In float32 the CPU's executors are off by up to 1.8e-6 on
# these images (S1 of `accurate`, small beside the maps it is a difference of). With carried maps
# rounded to float16 the NumPy executor is off by up to 3.4e-3 (the same S1; S0 by 4e-4). Of float64
# twice as many roundings as 5e-6 is of float32's, 42, for the reference rounds as well.
TOLERANCES = {"float32": 5e-6, "float16 storage": 8e-3, "float64": 2e-14}
# Relative L2 error allowed of float16 storage against the CPU in float32: there it is 2.2e-3.
SAME_BUT_HALF = 5e-3
IMAGES = 3
SHAPES = (
    Workload(32, 32, IMAGES, 1),
    Workload(32, 32, IMAGES, 2),
    Workload(64, 64, IMAGES, 3),
    Workload(37, 53, IMAGES, 2),
    Workload(224, 224, IMAGES, 3),
    Workload(256, 256, IMAGES, 2),
)
# The shape of what is checked on one shape only: odd, so that nothing is aligned by luck.
ODD = SHAPES[3]
QUICK = (SHAPES[1], ODD)


@dataclass
class Checks:
    """Comparisons: what was compared -> order -> error.

    Attributes
    ----------
    found : dict
        All of them.
    wrong : list of str
        Those above their tolerance.
    """

    found: dict[str, dict[str, float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, errors: dict[str, float], tolerance: float) -> None:
        """Note a comparison."""
        self.found[what] = errors
        if not all(error <= tolerance for error in errors.values()):  # NaN is not
            self.wrong.append(f"{what}: {errors}, above {tolerance}")
            print(f"WRONG {self.wrong[-1]}", flush=True)

    def raise_if_wrong(self) -> None:
        """Raise a MismatchError that lists what does not agree, if anything does not."""
        if self.wrong:
            raise MismatchError(f"{len(self.wrong)} of {len(self.found)} " + "\n".join(self.wrong))


def largest_errors(computed: np.ndarray, wanted: np.ndarray, order: np.ndarray) -> dict[str, float]:
    """Return max |V - S| / max |S| of each order.

    Parameters
    ----------
    computed, wanted : ndarray, shape (..., C, h, w)
        V and S.
    order : ndarray of int, shape (C,)
        Of the channels.
    """
    errors = {}
    for k in np.unique(order):
        V, S = (part[..., order == k, :, :].astype(np.float64) for part in (computed, wanted))
        errors[f"S{k}"] = float(np.abs(V - S).max() / np.abs(S).max())
    return errors


def verify_banks(
    workloads: tuple[Workload, ...] = SHAPES,
    banks: tuple[str | FilterBank, ...] | None = None,
    odd: Workload = ODD,
) -> dict[str, dict[str, float]]:
    """Compare the "cuda" backend with the NumPy executor in double precision.

    Every bank at every shape: orders 1 and 2, float32, and float16 storage, from NumPy arrays and
    from arrays on the GPU. At `odd` also float64, uint8, several pieces and rounds.

    Returns
    -------
    dict
        What was compared -> order -> largest error, as a share of the order's largest coefficient.

    Raises
    ------
    MismatchError
        If any error is above `TOLERANCES`; the message lists all that are.
    """
    checks = Checks()
    for bank in banks or list_banks():
        bank = FilterBank.load(bank) if isinstance(bank, str) else bank
        for workload in workloads:
            print(f"verifying {bank.name}, {workload.name}", flush=True)
            _verify_shape(checks, bank, workload)
            if workload == odd:
                _verify_kinds(checks, bank, workload)
                _verify_memory(checks, bank, workload)
    checks.raise_if_wrong()
    return checks.found


def _verify_shape(checks: Checks, bank: FilterBank, workload: Workload) -> None:
    images = workload.images()
    wanted = _reference(bank, workload, images)
    for max_order in (1, 2):
        for kind, storage in (("float32", None), ("float16 storage", "float16")):
            S = scattering(
                replace(workload, max_order=max_order), bank, backend="cuda", storage=storage
            )
            what = f"{bank.name}, {workload.name}, order {max_order}, {kind}"
            _both_ways(checks, S, images, wanted[:, : S.n_coefficients], kind, what)


def _verify_kinds(checks: Checks, bank: FilterBank, workload: Workload) -> None:
    images, S = workload.images(), scattering(workload, bank, backend="cuda")
    levels = np.rint(255 * images).astype(np.uint8)
    for given, kind, what in (
        (images.astype(np.float64), "float64", "float64"),
        (levels, "float32", "uint8"),
    ):
        wanted = _reference(bank, workload, given)
        _both_ways(checks, S, given, wanted, kind, f"{bank.name}, {workload.name}, {what}")


def _verify_memory(checks: Checks, bank: FilterBank, workload: Workload) -> None:
    """Two images of five at a time; and one at a time, some orientations after others."""
    images = workload.images()
    images = np.concatenate([images, images[::-1]])[:5]
    wanted = _reference(bank, workload, images)
    plan = scattering(workload, bank).plan
    for what, part, times in (
        ("two images at a time", plan.octave_by_octave(), 2),
        ("rounds", plan.in_rounds(4), 1),
    ):
        # As much for each of the streams that NumPy arrays go through.
        memory = 2 * times * max(1, lay_out(part, bank, "float32").workspace_bytes)
        S = scattering(workload, bank, backend="cuda", memory=memory)
        what = f"{bank.name}, {workload.name}, {what}"
        checks.add(what, _errors(S, S(images), wanted), TOLERANCES["float32"])


def _both_ways(checks, S, images, wanted, kind: str, what: str) -> None:
    checks.add(f"{what}, NumPy", _errors(S, S(images), wanted), TOLERANCES[kind])
    found = S(cuda.to_device(images))
    cuda.synchronize()
    checks.add(f"{what}, device", _errors(S, found.copy_to_host(), wanted), TOLERANCES[kind])


def _errors(S: Scattering2D, found: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    return largest_errors(found, wanted, S.meta()["order"])


def _reference(bank: FilterBank, workload: Workload, images: np.ndarray) -> np.ndarray:
    return scattering(workload, bank, backend="numpy")(images.astype(np.float64))


def verify_interfaces(
    bank: str | FilterBank = "accurate", workload: Workload = ODD
) -> dict[str, str]:
    """Try the ways in which arrays on the GPU come and go.

    Returns
    -------
    dict
        Way -> how its coefficients compare with those from a NumPy array, or what it raised.

    Raises
    ------
    MismatchError
        If a way gives other coefficients.
    """
    S, images = scattering(workload, bank, backend="cuda"), workload.images()
    wanted, told, wrong = S(images), {}, []
    for name, way in _ways(S, images):
        try:
            found = way()
        except Exception as error:  # told, and the run goes on: these are not what is timed
            told[name] = f"raised {type(error).__name__}: {error}"
        else:
            errors = _errors(S, found, wanted).values()
            near = all(error <= TOLERANCES["float32"] for error in errors)
            same = "the same bits" if np.array_equal(found, wanted) else "equal within rounding"
            told[name] = same if near else "other coefficients"
            wrong += [] if near else [name]
        print(f"{name}: {told[name]}", flush=True)
    if wrong:
        raise MismatchError(f"other coefficients than from NumPy arrays: {', '.join(wrong)}")
    return told


class _OnlyDlpack:
    """A tensor that has no other interface."""

    def __init__(self, tensor):
        self.__dlpack__, self.__dlpack_device__ = tensor.__dlpack__, tensor.__dlpack_device__


def _ways(S: Scattering2D, images: np.ndarray) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    shape = (len(images), *S.output_shape)

    def numba_stream() -> np.ndarray:
        stream = cuda.stream()
        given = cuda.to_device(images, stream=stream)
        found = S(given, out=cuda.device_array(shape, np.float32), stream=stream)
        stream.synchronize()
        return found.copy_to_host()

    def strided() -> np.ndarray:
        wide = np.zeros((len(images), S.shape[0], 2 * S.shape[1]), np.float32)
        wide[:, :, ::2] = images
        found = S(cuda.to_device(wide)[:, :, ::2])
        cuda.synchronize()
        return found.copy_to_host()

    yield "Numba's array and stream, out=", numba_stream
    yield "every other column of Numba's array", strided
    import torch

    if not torch.cuda.is_available():
        return

    def torch_default() -> np.ndarray:
        found = S(torch.from_numpy(images).cuda())
        return torch.as_tensor(found, device="cuda").cpu().numpy()

    def torch_stream() -> np.ndarray:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            given = torch.from_numpy(images).to("cuda", non_blocking=True)
            out = torch.empty(shape, device="cuda")
            return S(given, out=out, stream=stream).cpu().numpy()

    def dlpack() -> np.ndarray:
        found = S(_OnlyDlpack(torch.from_numpy(images).cuda()))
        cuda.synchronize()
        return found.copy_to_host()

    yield "Torch's tensor", torch_default
    yield "Torch's tensor and stream, out=", torch_stream
    yield "DLPack alone", dlpack


def verify_workload(
    workload: Workload, contestants: dict[str, Contestant], banks: dict[str, object]
) -> dict[str, dict[str, float]]:
    """Compare what is about to be timed, on the first, the middle and the last image.

    npscatter with its "numba" backend on the CPU, from arrays on the GPU and from NumPy arrays;
    `accurate` with Kymatio, and the network with `paper`, where the peer fits.

    Parameters
    ----------
    workload : Workload
        What they are for.
    contestants : dict of Contestant
        By name, in the blocks that are timed.
    banks : dict
        Name -> `benchmarks.gpu.contestants.OfOurs`.

    Returns
    -------
    dict
        What was compared -> order -> relative L2 error.

    Raises
    ------
    MismatchError
        If any error is too large.
    """
    checks = Checks()
    count = len(next(iter(contestants.values())).images)
    chosen = sorted({0, count // 2, count - 1})
    found = {name: one.coefficients(chosen) for name, one in contestants.items()}
    ours = {name: one for name, one in contestants.items() if isinstance(one, Ours)}
    for name, one in ours.items():
        order = one.S.meta()["order"]
        tolerance = SAME_BUT_HALF if banks[name].storage else SAME_BACKEND
        wanted = scattering(workload, one.S.bank, backend="numba")(one.images[chosen])
        errors = relative_errors(found[name], wanted, order)
        checks.add(f"{name}, Numba on the CPU", errors, tolerance)
        blocks = one.from_numpy()
        from_numpy = np.stack([blocks[i // one.block][i % one.block] for i in chosen])
        errors = relative_errors(from_numpy, wanted, order)
        checks.add(f"{name} from NumPy, Numba on the CPU", errors, tolerance)
        if name.startswith("accurate") and KYMATIO_TORCH in found:
            errors = relative_errors(found[name], found[KYMATIO_TORCH], order)
            checks.add(f"{name}, {KYMATIO_TORCH}", errors, KYMATIO)
        if name == "paper" and NETWORK in found:
            errors = relative_errors(found[name], found[NETWORK], order)
            checks.add(f"{name}, {NETWORK}", errors, SAME_NETWORK)
    checks.raise_if_wrong()
    return checks.found
