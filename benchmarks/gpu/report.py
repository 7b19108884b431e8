"""What is made of the times: medians, ratios, shares of the ceilings, aims. No GPU needed."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

KYMATIO, NETWORK = "Kymatio Torch", "Torch conv2d"
WAYS = ("device", "numpy")
# Contestant: how many times as fast as Kymatio at least, images on the GPU, first workload.
TIMES_KYMATIO = {"accurate": 20, "paper": 100}
# Share of the tighter ceiling at least, of every bank and workload.
OF_CEILING = 0.5


def times(milliseconds: list[float], images: int) -> dict:
    """Return what the results say of a contestant's calls.

    Parameters
    ----------
    milliseconds : list of float
        Of every round.
    images : int
        Of one call.
    """
    middle = median(milliseconds)
    return {
        "ms": round(middle, 5),
        "images_per_second": round(1e3 * images / middle, 1),
        "ms_each_round": [round(one, 5) for one in milliseconds],
    }


def shares(work: dict, images: int, milliseconds: float, ceilings: dict) -> dict:
    """Return how near a call comes to what the GPU does at most.

    Parameters
    ----------
    work : dict
        "operations" and "bytes" of one image.
    images, milliseconds : int, float
        Of one call, images on the GPU before and after.
    ceilings : dict
        "flops_per_second" and "bytes_per_second".

    Returns
    -------
    dict
        The rates reached, their shares, the larger of these, and which ceiling that is.
    """
    seconds = milliseconds / 1e3
    flops, moved = (work[name] * images / seconds for name in ("operations", "bytes"))
    of_flops, of_bytes = flops / ceilings["flops_per_second"], moved / ceilings["bytes_per_second"]
    return {
        "flops_per_second": flops,
        "bytes_per_second": moved,
        "of_flops": round(of_flops, 4),
        "of_bytes": round(of_bytes, 4),
        "of_tighter_ceiling": round(max(of_flops, of_bytes), 4),
        "tighter_ceiling": "arithmetic" if of_flops >= of_bytes else "memory",
    }


def finish(results: dict) -> dict:
    """Add to the results what follows from them: ratios, shares, aims."""
    for record in results["workloads"].values():
        timed = {name: one for name, one in record["contestants"].items() if "reason" not in one}
        for name, one in timed.items():
            for peer, key in ((KYMATIO, "kymatio"), (NETWORK, "conv2d")):
                comparable = peer == KYMATIO or name == "paper"
                if name != peer and peer in timed and comparable:
                    one[f"times_as_fast_as_{key}"] = {
                        way: round(timed[peer][way]["ms"] / one[way]["ms"], 3) for way in WAYS
                    }
            if "work" in one:
                taken = one["device"]["ms"]
                one["of_ceilings"] = shares(
                    one["work"], record["batch"], taken, results["ceilings"]
                )
    results["aims"] = aims(results["workloads"])
    return results


def aims(workloads: dict) -> list[dict]:
    """Return every aim, what was reached (None: not measured), and whether that is enough."""
    found = []

    def add(what: str, aim: float, reached: float | None) -> None:
        met = None if reached is None else reached >= aim
        found.append({"aim": what, "at_least": aim, "reached": reached, "met": met})

    first = next(iter(workloads), None)
    for name, aim in TIMES_KYMATIO.items():
        one = workloads[first]["contestants"].get(name, {}) if first else {}
        what = f"{name}, {first}: times as fast as {KYMATIO}"
        add(what, aim, one.get("times_as_fast_as_kymatio", {}).get("device"))
    for workload, record in workloads.items():
        for name, one in record["contestants"].items():
            if one.get("engine") == "npscatter":
                reached = one.get("of_ceilings", {}).get("of_tighter_ceiling")
                add(f"{name}, {workload}: share of the tighter ceiling", OF_CEILING, reached)
    return found


def told(aim: dict) -> str:
    """Return a line on an aim."""
    word = {True: "reached", False: "MISSED", None: "not measured"}[aim["met"]]
    reached = "" if aim["reached"] is None else f", {aim['reached']:.3g}"
    return f"{word}: {aim['aim']}{reached} (aim {aim['at_least']:g})"


def write(path: Path, results: dict) -> None:
    """Write the results as they are so far."""
    path.write_text(json.dumps(finish(results), indent=1, allow_nan=False) + "\n")
