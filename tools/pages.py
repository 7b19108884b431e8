"""Write the tables of the README and of the documentation from the committed results.

``python -m tools.pages`` replaces what stands between ``<!-- NAME -->`` and
``<!-- /NAME -->``; ``--check`` only says whether anything would change. PAPER.md is written by
``python -m benchmarks.paper page``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click

from benchmarks import costs, doors, frontier, results, run
from benchmarks.accuracy import sections
from benchmarks.gpu import NOT_MEASURED, WAYS
from benchmarks.peers import NETWORK
from benchmarks.tables import number, percent, table, update
from benchmarks.verify import TAUGHT
from benchmarks.workloads import BANKS

PASSES = ("one thread", "all cores")
SUMMARY = ("32x32 J=2", "64x64 J=2", "224x224 J=3", "2048x2048 J=4")


def written(result: dict, *more: str) -> str:
    """Return the sentence that says what command wrote a result."""
    return " ".join([f"Written by `{result['environment']['command']}`", *more])


def link(name: str) -> str:
    """Return a link from a page in docs/ to a result file."""
    return f"[{name}.json](../benchmarks/results/{name}.json)"


def summary() -> str:
    """Return four rows: how fast and how exact the two families' banks are."""
    speed, banks = results.read("speed"), tuple(TAUGHT)
    measured = {
        (row["bank"], f"{row['size']}x{row['size']} J={row['J']}"): row["errors"]
        for row in results.read("accuracy")["rows"]
        if row["section"] == "photographs"
    }
    rows = []
    for name in SUMMARY:
        record = speed["workloads"][name]
        timed = record["all cores"]["contestants"]
        row = [name, number(timed[record["all cores"]["kymatio"]]["ms_per_image"])]
        for bank in banks:
            # The largest was compared on the images that were timed.
            errors = measured.get((bank, name), record["verified"][f"{bank}, Kymatio NumPy"])
            row.append(timed_cell(timed[bank], "kymatio"))
            row.append(" / ".join(percent(errors[order]) for order in ("S1", "S2")))
        rows.append(row)
    head = [cell for bank in banks for cell in (f"`{bank}`, ms", "S1 / S2 error, %")]
    machine = speed["environment"]
    versions = machine["versions"]
    return (
        f"{table(['images', 'Kymatio, ms', *head], rows)}\n\nPer image (times as fast), float32, "
        f"on {machine['cpu']}, {machine['threads']} threads: two of npscatter "
        f"{machine['npscatter']}'s banks against the faster of Kymatio {versions['kymatio']}'s CPU "
        f"backends, NumPy {versions['numpy']} and Torch {versions['torch']}; relative L2 errors on "
        "photographs kept out of learning; at 2048x2048, on the photographs that were timed."
    )


def accuracy() -> str:
    """Return the errors of every section."""
    result = results.read("accuracy")
    return "\n\n".join([*sections(result), f"{written(result)}: {link('accuracy')}."])


def banks() -> str:
    """Return what every bank costs, and how far it is off on photographs."""
    result, rows = results.read("accuracy"), []
    for name, bank in result["banks"].items():
        own = [row for row in result["rows"] if row["bank"] == name]
        errors = [row["errors"] for row in own if row["section"] == "photographs"]
        worst = [percent(max(each.get(order, 0) for each in errors)) for order in ("S1", "S2")]
        counts = bank["multiply_adds_per_pixel_J2"]
        cost = counts["folded"] or counts["direct"]
        rows.append([f"`{name}`", f"{cost:.0f}", " / ".join(worst)])
    return (
        f"{table(['bank', 'multiply-adds per pixel', 'S1 / S2 error, %'], rows)}\n\nAt J = 2; the "
        f"largest errors on photographs kept out of learning, J = 1 to 5: {link('accuracy')}."
    )


def frontier_choice() -> str:
    """Return what choosing taps one by one saves."""
    result = results.read("frontier")

    def measured(family: str) -> str:
        point = frontier.cheapest(result["points"], family)
        if point is None:
            return "none"
        S1, S2 = (percent(point["errors"][frontier.SHOWN][order]) for order in ("S1", "S2"))
        cost = f"{point['multiply_adds']:.0f} multiply-adds per pixel"
        return f"one of {cost} (S1 {S1} %, S2 {S2} % on {frontier.SHOWN})"

    aims = ", ".join(f"{order} {100 * aim:.2g} %" for order, aim in result["aims"].items())
    return (
        f"Of the banks in {link('frontier')}, which meet the aims at J = 2 ({aims}) at the least "
        f"cost: of supports cut by discs, fitted to Kymatio's filters, {measured('disc')}; of "
        f"folded taps chosen one by one, {measured('selected')}."
    )


def timed_cell(timed: dict, peer: str) -> str:
    """Return a time in milliseconds, and how many times as fast as a peer that is, if known."""
    if timed["ms_per_image"] is None:
        return ""
    ratio = timed.get(f"times_as_fast_as_{peer}")
    return number(timed["ms_per_image"]) + (f" ({number(ratio)}x)" if ratio else "")


def speed() -> str:
    """Return the time per image against Kymatio, and against the paper's network in Torch."""
    result = results.read("speed")
    passes = [
        (name, held[timed])
        for name, held in result["workloads"].items()
        for timed in PASSES
        if timed in held
    ]
    rows = {"kymatio": [], "conv2d": []}
    for name, timed in passes:
        contestants, backend = timed["contestants"], timed["kymatio"]
        first = {
            "kymatio": f"{number(contestants[backend]['ms_per_image'])} ({backend.split()[1]})",
            "conv2d": number(contestants[NETWORK]["ms_per_image"]),
        }
        for peer, shown in (
            ("kymatio", (*BANKS, "pytorch-wavelets")),
            ("conv2d", ("paper", "paper-tuned zero")),
        ):
            cells = [timed_cell(contestants[one], peer) for one in shown]
            rows[peer].append([name, str(timed["threads"]), first[peer], *cells])
    machine, versions = result["environment"], result["environment"]["versions"]
    head, banks = ["images", "threads"], [f"`{bank}`" for bank in BANKS]
    return (
        f"{table([*head, 'Kymatio', *banks, 'pytorch-wavelets'], rows['kymatio'])}\n\n"
        "Milliseconds per image, and how many times as fast as the faster of Kymatio "
        f"{versions['kymatio']}'s CPU backends, which is named: NumPy (blocks of the batch on "
        f"Python threads) or Torch {versions['torch']}. Order 2 (order 1 at J = 1), float32, "
        f"photographs, medians of interleaved calls on {machine['cpu']}, {machine['threads']} "
        "cores; the peers in the block size that suits them best. pytorch-wavelets "
        f"{versions['pytorch-wavelets']}, one `ScatLayer` per octave, computes other features.\n\n"
        f"{table([*head, NETWORK, '`paper`', '`paper-tuned`'], rows['conv2d'])}\n\n"
        "The paper's network against the same network in Torch (`conv2d`), with zeros beyond the "
        "edge as there."
    )


def memory() -> str:
    """Return work, shares of the peak and memory of the speed benchmark."""
    result = results.read("speed")
    peers = ("Kymatio NumPy", "Kymatio Torch", NETWORK, "pytorch-wavelets")
    rows = []
    for name, held in result["workloads"].items():
        row = [name]
        for bank in BANKS:
            works = [held[timed]["contestants"][bank]["work"] for timed in PASSES if timed in held]
            shares = " / ".join(f"{100 * work['of_peak']:.0f} %" for work in works)
            row.append(f"{works[0]['multiply_adds'] / 1e6:.3g} M, {shares}" if works else "")
        measured = held.get("memory", {}).get("contestants", {})
        row += [number(measured.get(one, {}).get("working_mib")) for one in (*BANKS, *peers)]
        rows.append(row)
    head = [f"`{bank}` of peak" for bank in BANKS] + [f"`{bank}` MiB" for bank in BANKS]
    return (
        f"{table(['images', *head, *(f'{peer} MiB' for peer in peers)], rows)}\n\n"
        "Multiply-adds per image and the share of the machine's measured peak that they reach on "
        "one thread / on all cores, and the memory of one call on the batch with all cores, in MiB "
        f"beyond images, filters and output. {written(result)}; rounds, block sizes and versions "
        f"are in {link('speed')}."
    )


def kernels() -> str:
    """Return how near the peak the unrolled rows come, and what each idea bought."""
    result = results.read("kernels")
    kinds, ablations = [*result["rows"].values()], result["ablation"]
    bits = [f"of peak / slots, {8 * kind['vector_bytes']} bits" for kind in kinds]
    shares = [
        [name, str(row["multiply_adds"])]
        + [
            f"{100 * one['of_peak']:.0f} / {100 * one['issue_slots_of_peak']:.0f} %"
            for one in (kind["kernels"][name] for kind in kinds)
        ]
        for name, row in kinds[0]["kernels"].items()
    ]
    variants = dict.fromkeys(variant for ablated in ablations.values() for variant in ablated)
    times = [
        [variant] + [number(one.get(variant, {}).get("ms_per_image")) for one in ablations.values()]
        for variant in variants
    ]
    peaks = " and ".join(f"{kind['peak']['gfma_per_second']:.0f}" for kind in kinds)
    costs = ", ".join(
        f"{name} {cost:.2f}" for name, cost in result["cost_model"]["nanoseconds"].items()
    )
    return (
        f"{table(['row of', 'multiply-adds', *bits], shares)}\n\n"
        "One row of every output map, everything in the first-level cache, one thread, against the "
        f"peak of the same vectors ({peaks} multiply-adds per nanosecond): of multiply-adds alone, "
        "and of all that takes a slot of the same units, additions of the folding included. What a "
        f"vector costs there, in nanoseconds, fitted to thinned banks: {costs}.\n\n"
        f"{table(['one thread, ms per image', *ablations], times)}\n\n"
        "Each line has one idea more than the one above. "
        f"{written(result, 'on', result['environment']['cpu'])}; all of it is in {link('kernels')}."
    )


def startup() -> str:
    """Return how long the first call takes."""
    result = results.read("startup")
    cold, warm = result["cold cache"], result["warm cache"]
    return (
        f"Importing npscatter takes {number(warm['import'])} s after NumPy, making a "
        f"`Scattering2D` {number(warm['construction'])} s, the first call "
        f"{number(cold['first call'])} s where nothing was compiled before and "
        f"{number(warm['first call'])} s where it was (medians of {result['runs']} new processes, "
        f"`{result['environment']['command']}`)."
    )


def gpu() -> str:
    """Return the times on a GPU, or that there are none yet; and what the kernels take of one."""
    compiled = results.read("gpu_compiled")
    kernels = compiled["kernels"]
    registers: dict[str, list[int]] = {}
    for kernel in kernels:
        registers.setdefault(kernel["dtype"], []).append(kernel["registers"])
    taken = " and ".join(
        f"{min(each)} to {max(each)} registers in {dtype}" for dtype, each in registers.items()
    )
    names = ("stack", "spill stores", "spill loads")
    wasted = sum(kernel[name] for kernel in kernels for name in names)
    wasted = f"{wasted} bytes of stack and spills" if wasted else "no stack, and spill none"
    capabilities = sorted({kernel["capability"] for kernel in kernels}, key=float)
    versions = compiled["versions"]
    measured = results.path_of("gpu").exists()
    return (
        f"{gpu_times(results.read('gpu')) if measured else NOT_MEASURED}\n\n"
        f"Compiled for compute capability {', '.join(capabilities)}, the {len(kernels)} kernels of "
        f"the shipped banks take {taken}, {wasted}. Written by `{compiled['command']}` (numba-cuda "
        f"{versions['numba-cuda']}, ptxas {versions['nvidia-cuda-nvcc']}); it needs no GPU."
    )


def gpu_times(result: dict) -> str:
    """Return the table of a run on a GPU."""
    rows, names = [], []
    for name, record in result["workloads"].items():
        for way, words in WAYS.items():
            names = list(record[way])
            cells = [
                one["reason"].split(":")[0] if "reason" in one else timed_cell(one, "kymatio")
                for one in record[way].values()
            ]
            rows.append([name, words, *cells])
    machine = result["environment"]
    versions, device = machine["versions"], machine["gpu"]
    return (
        f"{table(['images', 'from and to', *names], rows)}\n\n"
        f"Milliseconds per image, and how many times as fast as Kymatio {versions['kymatio']} in "
        f"Torch {versions['torch']} on the same {device['name']} (driver {device['driver']}, "
        f"numba-cuda {versions['numba-cuda']}), order 2, float32, medians of {result['rounds']} "
        "interleaved rounds, each in the block size that suits it best. From and to pageable NumPy "
        f"arrays the transfers are included. {written(result)}; rounds, blocks and errors are in "
        f"{link('gpu')}."
    )


def footprint() -> str:
    """Return what the smallest header of `accurate` needs."""
    result = results.read("microcontroller")
    kind = "accurate", 2, "speed"
    keys = "bank", "max_order", "target"
    rows = [row for row in result["rows"] if tuple(row[key] for key in keys) == kind]
    row = min(rows, key=lambda row: row["scratch_bytes"])
    flash, stack = (
        {cpu.removeprefix("cortex-").upper(): row[cpu][key] for cpu in result["optimisation"]}
        for key in ("flash_bytes", "stack_bytes")
    )
    best, worst = min(flash, key=flash.get), max(flash, key=flash.get)
    return (
        f"All channels of a {row['side']} x {row['side']} image at J = {row['J']} take "
        f"{row['scratch_bytes'] / 1024:.1f} KiB of memory in {row['dtype'].upper()} with "
        f"`--rounds {row['rounds']}`, besides the image and {min(stack.values())} to "
        f"{max(stack.values())} bytes of stack, the output being streamed to a callback, and "
        f"{flash[best] / 1024:.0f} ({best}) to {flash[worst] / 1024:.0f} KiB ({worst}) of flash."
    )


def q15() -> str:
    """Return how far Q15 is from floating point."""
    result = results.read("q15")
    ratios = {(row["bank"], row["size"], row["J"]): row["dB"] for row in result["rows"]}
    banks = dict.fromkeys(row["bank"] for row in result["rows"])

    def cell(bank: str, J: int) -> str:
        return ", ".join(f"{dB:.0f}" for order, dB in ratios[bank, 64, J].items() if order != "S0")

    scales = range(1, 6)
    rows = [[f"`{bank}`", *(cell(bank, J) for J in scales)] for bank in banks]
    return (
        f"{table(['bank', *(f'J = {J}' for J in scales)], rows)}\n\n"
        "Signal to noise ratio of Q15 against the same filters in double precision, in dB, S1 and "
        f"S2, on {result['images']['64']} crops of 64x64 pixels of photographs kept out of "
        f"learning. {written(result)}; 32x32 and S0 are in `benchmarks/results/q15.json`."
    )


def float16() -> str:
    """Return what storing maps in float16 costs."""
    rows = [row for row in results.read("q15")["rows"] if (row["size"], row["J"]) == (64, 5)]
    cells = [[f"`{row['bank']}`", *map(percent, row["float16"].values())] for row in rows]
    return table(["float16 against float32 at J = 5, %", "S0", "S1", "S2"], cells)


def _millions(number: float) -> str:
    return f"{number:.1f}" if number < 100 else f"{number:.0f}"


def microcontroller() -> str:
    """Return flash, memory and instructions."""
    result = results.read("microcontroller")
    levels = result["optimisation"]
    names = {cpu: cpu.removeprefix("cortex-").upper() for cpu in levels}
    rows, stacks = [], []
    for row in result["rows"]:
        counts = [row[cpu]["instructions"] / 1e6 for cpu in levels]
        stacks += [row[cpu]["stack_bytes"] for cpu in levels]
        rows.append(
            [
                f"`{row['bank']}` {row['side']}x{row['side']} J={row['J']}, order "
                f"{row['max_order']}, {row['dtype']}, {row['rounds']} "
                f"round{'s' if row['rounds'] > 1 else ''}, {row['target']}",
                f"{row['scratch_bytes'] / 1024:.1f}",
                ", ".join(f"{row[cpu]['flash_bytes'] / 1024:.1f}" for cpu in levels),
                ", ".join(map(_millions, counts)),
                ", ".join(
                    _millions(row[cpu]["plain_instructions"] / 1e6)
                    for cpu in levels
                    if "plain_instructions" in row[cpu]
                ),
            ]
        )
    cpus = ", ".join(names.values())
    head = ["header", "scratch, KiB", f"flash, KiB: {cpus}", f"million instructions: {cpus}"]
    head.append("in plain C: M4, M7, M55")
    same = all(row["same_bits_on_all"] for row in result["rows"])
    compiled = ", ".join(f"{names[cpu]} {level}" for cpu, level in levels.items())
    return (
        f"{table(head, rows)}\n\n"
        "Scratch holds everything but the image and the output, which may be streamed to a "
        f"callback, channel by channel; besides, {min(stacks)} to {max(stacks)} bytes of stack. "
        f"Compiled by {result['compiler']} ({compiled}), run by {result['emulator']}, whose count "
        "of instructions is not one of cycles. The code for the M0 was counted on the M4 board. "
        f"{'All four gave the same bits, in float too. ' if same else ''}{written(result)}, "
        "`benchmarks/results/microcontroller.json`."
    )


def digits() -> str:
    """Return how well firmware recognises digits, and what it takes."""
    result = results.read("digits")
    rows = []
    for row in result["rows"]:
        tested, instructions = row["pictures"], row["instructions"] / 1e6
        in_float, in_q15 = (100 * row[f"right_in_{kind}"] / tested for kind in ("float", "q15"))
        ram = row["scratch_bytes"] + row["scores_bytes"] + row["stack_bytes"]
        rows.append(
            [
                *(f"{row['L']}", f"{in_float:.1f}", f"{in_q15:.1f}"),
                f"{row['same_scores']} of {tested}",
                f"{instructions:.1f}",
                f"{row['flash_bytes'] / 1024:.1f} ({row['weights_bytes'] / 1024:.1f})",
                f"{ram / 1024:.1f}",
            ]
        )
    head = ["L", "right in float, %", "right in firmware, %", "same scores as the twin's"]
    head += ["million instructions", "flash, KiB (weights)", "RAM, KiB"]
    row, machine = result["rows"][0], result["environment"]
    return (
        f"{table(head, rows)}\n\n"
        f"{row['pictures']} digits of MNIST, after learning from {row['training']} others; bank "
        f"`{row['bank']}`, J = {row['J']}, {row['rounds']} rounds. Float is the library and "
        f"scikit-learn {machine['versions']['scikit-learn']}. RAM is scratch, scores and stack, "
        f"without the picture's {row['shape'][0] * row['shape'][1]} bytes. Compiled by "
        f"{result['compiler']}, run by {result['emulator']} on a Cortex-M4, whose count of "
        f"instructions is not one of cycles. {written(result)}, `benchmarks/results/digits.json`."
    )


def desktop() -> str:
    """Return how fast the C is on a desktop processor."""
    result = results.read("desktop_c")
    rows = [
        [f"`{row['bank']}` {row['side']}x{row['side']} J={row['J']}"]
        + [f"{milliseconds:.3g}" for milliseconds in row["ms_per_image"].values()]
        for row in result["rows"]
    ]
    flags = "; ".join(f"{name} `{flags}`" for name, flags in result["flags"].items())
    return (
        f"{table(['', *result['rows'][0]['ms_per_image']], rows)}\n\n"
        "Milliseconds per image on one thread, medians of interleaved calls on "
        f"{result['environment']['cpu']}; {'; '.join(result['compilers'])}; {flags}. "
        f"{written(result)}, `benchmarks/results/desktop_c.json`."
    )


def web() -> str:
    """Return how fast WebAssembly is in a browser."""
    result, rows = results.read("web"), []
    for row in result["rows"]:
        times = [
            f"{each['min']:.3g} ({each['median']:.3g})" for each in row["ms_per_picture"].values()
        ]
        name = f"`{row['bank']}` {row['side']}x{row['side']} J={row['J']}"
        rows.append([name, *times, f"{row['shown_per_second']:.0f}"])
    machine = result["environment"]
    return (
        f"{table(['', 'ms per picture', 'ms without vectors', 'shown per second'], rows)}\n\n"
        f"Milliseconds of the fastest of {result['rounds']} rounds (and their median), on one "
        "thread; a page shows at most the screen's 60 pictures per second. "
        f"{result['browser']} without a screen, {result['compiler']}, on {machine['cpu']} with "
        f"{machine['cores']} cores, where {result['load_before']} other processes ran on average. "
        f"{written(result)}, `benchmarks/results/web.json`."
    )


def costs_of(side: int, count: int | None) -> str:
    """Return what so many images take, or one mosaic, by what is asked for."""
    result, cores, rows = results.read("costs"), (2, 16, 64), []
    for name in result["choices"]:
        found = costs.cost(result, results.read("large"), name, side, count)
        minutes = (number(60 * costs.elapsed(found, each)) for each in cores)
        sizes = (disk_size(found[key]) for key in ("bytes", "bytes_of_means"))
        rows.append(
            [name, number(found["core_hours"]), *minutes, number(found["peak_mib"]), *sizes]
        )
    head = ["", "core hours", *(f"minutes on {each} cores" for each in cores)]
    return table([*head, "MiB per process", "coefficients", "means of them"], rows)


def disk_size(count: float) -> str:
    """Return bytes in decimal units, as disks are sold."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} TB"


def million() -> str:
    """Return what a million images take."""
    count, result, speed = 10**6, results.read("costs"), results.read("speed")
    reading, writing, machine = result["reading"], result["writing"], result["environment"]
    (own, reduced), sides = reading.values(), [f"{side} x {side}" for side in reading]
    later = count * (reduced["ms_per_image"] - own["ms_per_image"]) / 3.6e6
    timed = speed["workloads"]["224x224 J=3"]
    one, both = (timed[each]["contestants"]["accurate"]["ms_per_image"] for each in PASSES)
    return (
        f"{costs_of(result['side'], count)}\n\n"
        "Of the default bank unless another is named, in float32. Core hours are those that one "
        f"thread worked, which reads JPEGs of {sides[0]} in colour "
        f"({disk_size(count * own['bytes'])} in all, {number(own['ms_per_image'])} ms each) and "
        f"transforms them. From JPEGs of {sides[1]} "
        f"({disk_size(count * reduced['bytes'])}, {number(reduced['ms_per_image'])} ms each, "
        f"decoded at a reduced scale) it is {number(later)} core hours more. Minutes on several "
        "cores suppose that they share the work perfectly, but are never less than writing the "
        f"coefficients takes at {number(writing['mb_per_second'])} MB a second, the rate of this "
        "disk, which does not matter where only means of them are written; for comparison, "
        f"{timed['all cores']['threads']} threads of the machine in "
        f"{link('speed')} did {number(one / both)} times the work of one. Zarr's own compression "
        f"leaves {percent(writing['zarr_share'])} % of the bytes and writes "
        f"{number(writing['zarr_mb_per_second'])} MB of coefficients a second. A process holds "
        f"{result['batch']} images and their coefficients at a time. "
        f"{written(result, 'on', machine['cpu'])}: {link('costs')}."
    )


def mosaic() -> str:
    """Return what one large mosaic takes."""
    side, measured = 100_000, results.read("large")
    rate = number(measured["processor_nanoseconds_per_pixel"]["large"])
    return (
        f"{costs_of(side, None)}\n\n"
        f"From {disk_size(side**2)} of bytes. Of an image of {measured['side']:,} x "
        f"{measured['side']:,} a pixel took {rate} ns of processor time, in a process that held at "
        f"most {number(measured['peak_mib'])} MiB ({link('large')}, "
        f"`{measured['environment']['command']}`). Core hours are pixels times that; of what else "
        "is asked for, times the work it took over that of the first, of an image of "
        f"{costs.ORDINARY} x {costs.ORDINARY} ({link('costs')})."
    )


def pipeline() -> str:
    """Return how fast ``npscatter transform`` is, its memory, and what became of killed runs."""
    result, rows = results.read("pipeline"), []
    words = {"small": "PNGs of 32 x 32, J = 2", "large": "JPEGs of a megapixel as 256 x 256, J = 4"}
    for key, what in words.items():
        for one in result[key]["runs"]:
            rows.append(
                [
                    *(f"{result[key]['pictures']:,} {what}", f"`{one['output']}`"),
                    *(str(one["workers"]), number(one["pictures_per_second"])),
                    *(number(one[f"{part}_s"]) for part in ("reading", "transforming", "writing")),
                    f"{number(one['peak_mib_first_tenth'])}, {number(one['peak_mib'])}",
                ]
            )
    head = ["", "to", "`--workers`", "pictures per second", "reading, s", "transforming, s"]
    killed, machine = result["killed"], result["environment"]
    return (
        f"{table([*head, 'writing, s', 'MiB at most: first tenth, all'], rows)}\n\n"
        "From tar shards. Seconds are those in which something was done, by all processes that "
        "read together; these go on side by side. Memory is that of all processes, what they "
        f"share counted once. Of {killed['kills']} runs that were killed with SIGKILL at random "
        "moments, of all four kinds of output in turn, "
        f"{killed['left_something_to_go_on_with']} left something to go on with, and after "
        f"`--resume` {killed['same_bytes']} had the bytes of a "
        f"run that was not killed. {written(result, 'on', machine['cpu'])}, {machine['cores']} "
        f"cores: {link('pipeline')}."
    )


def large() -> str:
    """Return what an image larger than memory takes, in whatever pieces, and on a cluster."""
    result = results.read("large")
    side, rates = result["side"], result["nanoseconds_per_pixel"]
    machine, cluster = result["environment"], result["cluster"]
    found, ways = result["ways"], result["ways"]["ways"]
    rows = [
        [name, number(one["seconds"]),
         "the same" if one["same_bits"] else f"up to {one['largest_difference']:.2g} off"]
        for name, one in ways.items()
    ]  # fmt: skip
    head = [f"{found['side']} x {found['side']}, J = 4", "seconds", "bits"]
    loss, seconds = cluster["loss"], cluster["seconds"]
    lost = "was right" if loss["right"] and loss["killed_at_work"] else "was wrong"
    return (
        f"{side:,} x {side:,} pixels of a byte, J = 4, orders 1 and 2, from one memory map into "
        f"another: {number(rates['large'])} nanoseconds per pixel, and "
        f"{number(rates['2048'])} of an image of 2048 x 2048 in memory, in turns with it (ratio "
        f"{result['ratio']:.2f}; of processor time {result['processor_ratio']:.2f}); "
        f"{number(result['nanoseconds_per_pixel_into_a_new_file'])} where the file is new. The "
        f"process held {number(result['peak_mib'])} MiB at most, with "
        f"{number(result['resident_before_mib'])} MiB of them before it began.\n\n"
        f"{table(head, rows)}\n\n"
        f"Against the whole image at once. The same image in {cluster['chunks']} chunks on a "
        "`LocalCluster`, whose processes have a thread each: "
        f"{number(seconds['one process'])} s on one, {number(seconds['two processes'])} s on two, "
        f"{cluster['times_as_fast']:.2f} times as fast, where in turns with them two threads were "
        f"{cluster['times_as_fast_on_threads']:.2f} times as fast as one; what two processes gave "
        f"of which one was killed on the way {lost}. {written(result, 'on', machine['cpu'])}, "
        f"{machine['threads']} threads: "
        f"{link('large')}."
    )


# Page -> marker -> what stands there.
PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"summary": summary},
    "docs/results.md": {
        "accuracy": accuracy,
        "frontier": frontier_choice,
        "speed": speed,
        "memory": memory,
        "startup": startup,
        "kernels": kernels,
    },
    "docs/banks.md": {"banks": banks},
    "docs/gpu.md": {"gpu": gpu, "float16": float16},
    "docs/torch.md": {name: partial(doors.section, name) for name in ("torch", "gradient")},
    "docs/onnx.md": {"onnx": partial(doors.section, "onnx")},
    "docs/how-large.md": {"million": million, "mosaic": mosaic},
    "docs/features.md": {"means": partial(doors.section, "means")},
    "docs/large.md": {"large": large, "pipeline": pipeline},
    "docs/c.md": {"footprint": footprint, "q15": q15},
    "cexport/GUIDE.md": {
        "microcontroller": microcontroller,
        "desktop": desktop,
        "digits": digits,
        "web": web,
    },
}


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a page is stale.")
def main(check: bool) -> None:
    """Bring the pages up to date."""
    for page, tables in PAGES.items():
        update(page, tables, check, "python -m tools.pages")


if __name__ == "__main__":
    run(main)
