"""Write the tables of the README and of other pages from the committed results.

``python -m benchmarks.readme`` replaces what stands between ``<!-- NAME -->`` and
``<!-- /NAME -->``; ``--check`` only says whether anything would change.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from benchmarks import c_tables, frontier
from benchmarks.gpu.page import gpu_text
from benchmarks.paper import report
from benchmarks.results import RESULTS

PASSES = ("one thread", "all cores")  # of the speed benchmark
ROOT = Path(__file__).parents[1]


def percent(error: float | None) -> str:
    """Return an error in percent, two significant digits, no exponent."""
    if error is None:
        return ""
    return f"{100 * error:.0f}" if error >= 1 else f"{100 * error:.2g}"


def accuracy_table() -> str:
    """Return the accuracy table: J = 2 at every size, then `accurate` at the other scales."""
    result = json.loads((RESULTS / "accuracy.json").read_text())
    found = {
        (row["bank"], row["size"], row["J"], row["source"]): row["errors"] for row in result["rows"]
    }
    names = list(result["banks"])
    cases = [(name, size, 2) for name in names for size in (32, 64, 224)]
    cases += [("accurate", 224, J) for J in (1, 3, 4, 5)]
    cases += [(name, 224, 3) for name in names if name.startswith("accurate-")]
    lines = [
        "| bank | image | J | S0 | S1 | S2 | noise S0 | noise S1 | noise S2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, size, J in cases:
        cells = [
            percent(found[name, size, J, source].get(order))
            for source in ("photographs", "white noise")
            for order in ("S0", "S1", "S2")
        ]
        lines.append(f"| `{name}` | {size}x{size} | {J} | {' | '.join(cells)} |")
    versions = result["environment"]["versions"]
    lines += [
        "",
        f"Relative L2 error in percent against Kymatio {versions['kymatio']} (NumPy), borders "
        "included, on crops of photographs kept out of learning "
        f"({', '.join(result['photographs'])}; {result['images']['32']}, "
        f"{result['images']['64']} and {result['images']['224']} crops of 32, 64 and 224 pixels) "
        "and on as many images of white noise. "
        f"Written by `{result['environment']['command']}`; every scale and size is in "
        "[accuracy.json](benchmarks/results/accuracy.json).",
    ]
    return "\n".join(lines)


def frontier_text() -> str:
    """Return why the accurate bank has the size it has."""
    result = json.loads((RESULTS / "frontier.json").read_text())
    rows = {frontier.label(row): row for row in result["designs"]}
    cheapest, chosen = rows[result["cheapest"]], rows[result["chosen"]]

    def told(row: dict) -> str:
        errors = row["tuned"][frontier.SHOWN]
        return (
            f"({frontier.folded_cost(row):.0f} multiply-adds per pixel, S1 "
            f"{percent(errors['S1'])} %, S2 {percent(errors['S2'])} % on {frontier.SHOWN})"
        )

    aims = ", ".join(f"{order} {100 * aim:.2g} %" for order, aim in result["aims"].items())
    text = (
        "Why `accurate` has the size it has: of the designs in "
        "[frontier.json](benchmarks/results/frontier.json), measured from the cheap end, "
        f"`{result['cheapest']}` {told(cheapest)} is the first that meets the aims at J = 2 "
        f"({aims}) once tuned"
    )
    if chosen is cheapest:
        return text + "; it is the shipped one."
    dearer = frontier.folded_cost(chosen) / frontier.folded_cost(cheapest) - 1
    return text + (
        f". The shipped `{result['chosen']}` {told(chosen)} costs {100 * dearer:.0f} % more and "
        "errs much less. The digits are the kernel sizes of psi, carry and low for the first "
        "octave, then for the later ones; r is the radius of a round support."
    )


def number(value: float) -> str:
    """Return a number with three significant digits, no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def speed_table() -> str:
    """Return the speed tables: time against Kymatio and against the network, work and memory."""
    result = json.loads((RESULTS / "speed.json").read_text())
    passes = [
        (name, passed["threads"], passed)
        for name, held in result["workloads"].items()
        for passed in map(held.get, PASSES)
        if passed
    ]

    def cell(passed: dict, name: str, ratio: str) -> str:
        found = passed["contestants"][name]
        if found["ms_per_image"] is None:
            return ""
        times = f" ({number(found[ratio])}x)" if ratio in found else ""
        return number(found["ms_per_image"]) + times

    def table(head: str, names: list[str], ratio: str) -> list[str]:
        lines = [head, "|---" * head.count(" | ") + "|---|"]
        for workload, threads, passed in passes:
            kymatio = number(passed["contestants"][passed["kymatio"]]["ms_per_image"])
            first = f"{kymatio} ({passed['kymatio'].removeprefix('Kymatio ')})"
            cells = [first] if ratio == "times_as_fast_as_kymatio" else []
            cells += [cell(passed, name, ratio) for name in names]
            lines.append(f"| {workload} | {threads} | {' | '.join(cells)} |")
        return lines

    environment = result["environment"]
    versions = environment["versions"]
    lines = table(
        "| images | threads | Kymatio | `accurate` | `paper-tuned` | `paper` | pytorch-wavelets |",
        ["accurate", "paper-tuned", "paper", "pytorch-wavelets"],
        "times_as_fast_as_kymatio",
    )
    lines += [
        "",
        "Milliseconds per image, and how many times as fast as the faster of Kymatio "
        f"{versions['kymatio']}'s CPU backends, which is named: NumPy (blocks of the batch on "
        f"Python threads) or Torch {versions['torch']}. Order 2 (order 1 at J = 1), float32, "
        f"photographs, medians of interleaved calls on {environment['cpu']}, "
        f"{environment['threads']} cores; the peers in the block size that suits them best. "
        f"pytorch-wavelets{' ' + versions.get('pytorch-wavelets', '')}, one `ScatLayer` per "
        "octave, computes other features.",
        "",
    ]
    lines += table(
        "| images | threads | Torch conv2d | `paper` | `paper-tuned` |",
        ["Torch conv2d", "paper", "paper-tuned zero"],
        "times_as_fast_as_conv2d",
    )
    lines += [
        "",
        "The paper's network against the same network in Torch (`conv2d`), with zeros beyond the "
        "edge as there.",
        "",
        *_work_and_memory(result),
        "",
        "Multiply-adds per image and the share of the machine's measured peak that they reach on "
        "one thread / on all cores, and the memory of one call on the batch with all cores, "
        "in MiB beyond images, filters and output. "
        f"Written by `{environment['command']}`; rounds, block sizes and versions are in "
        "[speed.json](benchmarks/results/speed.json).",
    ]
    return "\n".join(lines)


def _work_and_memory(result: dict) -> list[str]:
    banks = ("accurate", "paper-tuned", "paper")
    peers = ("Kymatio NumPy", "Kymatio Torch", "Torch conv2d", "pytorch-wavelets")
    heads = [f"`{bank}` of peak" for bank in banks] + [f"`{bank}` MiB" for bank in banks]
    heads += [f"{peer} MiB" for peer in peers]
    lines = [f"| images | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name, held in result["workloads"].items():
        works = [
            [held[timed]["contestants"][bank]["work"] for timed in PASSES if timed in held]
            for bank in banks
        ]
        memory = held.get("memory", {}).get("contestants", {})
        measured = [memory.get(one, {}).get("working_mib") for one in (*banks, *peers)]
        cells = [
            f"{work[0]['multiply_adds'] / 1e6:.3g} M, "
            + " / ".join(f"{100 * one['of_peak']:.0f} %" for one in work)
            if work
            else ""
            for work in works
        ]
        cells += ["" if one is None else number(one) for one in measured]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def kernels_table() -> str:
    """Return how near the peak the unrolled rows come, and what each idea bought."""
    result = json.loads((RESULTS / "kernels.json").read_text())
    here, avx2 = result["rows"]["this CPU"], result["rows"]["AVX2"]
    lines = [
        f"| row of | multiply-adds | of peak, {8 * here['vector_bytes']} bits "
        f"| of peak, {8 * avx2['vector_bytes']} bits |",
        "|---|---|---|---|",
    ]
    for name, found in here["kernels"].items():
        shares = (found["of_peak"], avx2["kernels"][name]["of_peak"])
        cells = " | ".join(f"{100 * share:.0f} %" for share in shares)
        lines.append(f"| {name} | {found['multiply_adds']} | {cells} |")
    lines += [
        "",
        "One row of every output map, everything in the first-level cache, one thread, against the "
        f"peak of the same vectors ({here['peak']['gfma_per_second']:.0f} and "
        f"{avx2['peak']['gfma_per_second']:.0f} multiply-adds per nanosecond). Only multiply-adds "
        "count; the additions of the folding take a share of the same units.",
        "",
        "| one thread, ms per image | " + " | ".join(result["ablation"]) + " |",
        "|---" * (1 + len(result["ablation"])) + "|",
    ]
    variants: list[str] = []
    for ablated in result["ablation"].values():
        variants += [variant for variant in ablated if variant not in variants]
    for variant in variants:
        cells = [
            number(ablated[variant]["ms_per_image"]) if variant in ablated else ""
            for ablated in result["ablation"].values()
        ]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    lines += [
        "",
        "Each line has one idea more than the one above. Nanoseconds per pixel at J = 2 on one "
        "thread: "
        + ", ".join(
            f"{number(each['1 threads'])} at {side}"
            for side, each in result["nanoseconds_per_pixel"].items()
        )
        + ". Written by "
        f"`{result['environment']['command']}` on {result['environment']['cpu']}; all of it is in "
        "[kernels.json](benchmarks/results/kernels.json).",
    ]
    return "\n".join(lines)


def startup_text() -> str:
    """Return how long the first call takes."""
    result = json.loads((RESULTS / "startup.json").read_text())
    cold, warm = result["cold cache"], result["warm cache"]
    return (
        f"Importing npscatter takes {number(warm['import'])} s after NumPy, making a "
        f"`Scattering2D` {number(warm['construction'])} s, the first call "
        f"{number(cold['first call'])} s where nothing was compiled before and "
        f"{number(warm['first call'])} s where it was (medians of {result['runs']} new processes, "
        f"`{result['environment']['command']}`)."
    )


# Page: its tables.
PAGES = {
    "README.md": {
        "accuracy": accuracy_table,
        "frontier": frontier_text,
        "speed": speed_table,
        "kernels": kernels_table,
        "startup": startup_text,
        "gpu": gpu_text,
        "footprint": c_tables.footprint_text,
        "q15": c_tables.q15_table,
    },
    "cexport/GUIDE.md": {
        "microcontroller": c_tables.microcontroller_table,
        "desktop": c_tables.desktop_table,
    },
    "benchmarks/PAPER.md": report.TABLES,
}


def rendered(page: str, text: str) -> str:
    """Return a page's text with every table made anew."""
    for name, table in PAGES[page].items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text, count = re.subn(
            pattern,
            lambda found, table=table: found[1] + table() + "\n" + found[2],
            text,
            flags=re.DOTALL,
        )
        if count != 1:
            raise click.ClickException(f"{page} has {count} places for the table {name!r}")
    return text


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a page is stale.")
def main(check: bool) -> None:
    """Bring the pages up to date."""
    for page in PAGES:
        path = ROOT / page
        old = path.read_text(encoding="utf-8")
        new = rendered(page, old)
        if check and new != old:
            raise click.ClickException(f"{page} is stale: run python -m benchmarks.readme")
        if not check:
            path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
