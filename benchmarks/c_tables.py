"""The tables of the generated C, from the committed results."""

from __future__ import annotations

import json

from benchmarks.results import RESULTS


def _link(name: str) -> str:
    return f"`benchmarks/results/{name}`"


def q15_table() -> str:
    """Return how far Q15 is from floating point."""
    result = json.loads((RESULTS / "q15.json").read_text())
    found = {(row["bank"], row["size"], row["J"]): row["dB"] for row in result["rows"]}
    banks = list(dict.fromkeys(row["bank"] for row in result["rows"]))
    lines = ["| bank | J = 1 | J = 2 | J = 3 | J = 4 |", "|---|---|---|---|---|"]
    for bank in banks:
        cells = []
        for J in (1, 2, 3, 4):
            ratios = [found[bank, 64, J].get(order) for order in ("S1", "S2")]
            cells.append(", ".join(f"{ratio:.0f}" for ratio in ratios if ratio is not None))
        lines.append(f"| `{bank}` | {' | '.join(cells)} |")
    lines += [
        "",
        "Signal to noise ratio of Q15 against the same filters in double precision, in dB, S1 and "
        f"S2, on {result['images']['64']} crops of 64x64 pixels of photographs kept out of "
        f"learning. Written by `{result['environment']['command']}`; 32x32 and S0 are in "
        f"{_link('q15.json')}.",
    ]
    return "\n".join(lines)


def microcontroller_table() -> str:
    """Return flash, memory and instructions."""
    result = json.loads((RESULTS / "microcontroller.json").read_text())
    cpus = list(result["optimisation"])
    names = [cpu.removeprefix("cortex-").upper() for cpu in cpus]
    lines = [
        f"| header | scratch, KiB | flash, KiB: {', '.join(names)} "
        f"| million instructions: {', '.join(names)} |",
        "|---|---|---|---|",
    ]
    for row in result["rows"]:
        flash = ", ".join(f"{row[cpu]['flash_bytes'] / 1024:.1f}" for cpu in cpus)
        work = ", ".join(_millions(row[cpu]["instructions"]) for cpu in cpus)
        lines.append(
            f"| `{row['bank']}` {row['side']}x{row['side']} J={row['J']}, order "
            f"{row['max_order']}, {row['dtype']}, {row['rounds']} "
            f"round{'s' if row['rounds'] > 1 else ''} "
            f"| {row['scratch_bytes'] / 1024:.1f} | {flash} | {work} |"
        )
    stacks = [row[cpu]["stack_bytes"] for row in result["rows"] for cpu in cpus]
    levels = ", ".join(
        f"{name} {level}"
        for name, level in zip(names, result["optimisation"].values(), strict=True)
    )
    same = all(row["same_bits_on_all"] for row in result["rows"])
    lines += [
        "",
        "Scratch holds everything but the image and the output, which may be streamed to a "
        f"callback, channel by channel; besides, {min(stacks)} to {max(stacks)} bytes of stack. "
        f"Compiled by {result['compiler']} ({levels}), run by {result['emulator']}, whose count of "
        "instructions is not one of cycles. The code for the M0 was counted on the M4 board. "
        + ("All four gave the same bits, in float too. " if same else "")
        + f"Written by `{result['environment']['command']}`, {_link('microcontroller.json')}.",
    ]
    return "\n".join(lines)


def footprint_text() -> str:
    """Return what the smallest header of `accurate` needs."""
    result = json.loads((RESULTS / "microcontroller.json").read_text())
    row = min(
        (row for row in result["rows"] if (row["bank"], row["max_order"]) == ("accurate", 2)),
        key=lambda row: row["scratch_bytes"],
    )
    flash, stack = (
        [row[cpu][key] for cpu in result["optimisation"]] for key in ("flash_bytes", "stack_bytes")
    )
    return (
        f"All channels of a {row['side']} x {row['side']} image at J = {row['J']} take "
        f"{row['scratch_bytes'] / 1024:.1f} KiB of memory in {row['dtype'].upper()} with "
        f"`--rounds {row['rounds']}`, besides the image and {min(stack)} to {max(stack)} bytes of "
        "stack, the output being streamed to a callback, and "
        f"{min(flash) / 1024:.0f} to {max(flash) / 1024:.0f} KiB of flash (M4 to M55)."
    )


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f}" if count < 1e8 else f"{count / 1e6:.0f}"


def desktop_table() -> str:
    """Return how fast the C is on a desktop processor."""
    result = json.loads((RESULTS / "desktop_c.json").read_text())
    contestants = list(result["rows"][0]["ms_per_image"])
    lines = [f"| | {' | '.join(contestants)} |", "|---" * (1 + len(contestants)) + "|"]
    for row in result["rows"]:
        cells = " | ".join(f"{row['ms_per_image'][contestant]:.3g}" for contestant in contestants)
        lines.append(f"| `{row['bank']}` {row['side']}x{row['side']} J={row['J']} | {cells} |")
    lines += [
        "",
        "Milliseconds per image on one thread, medians of interleaved calls on "
        f"{result['environment']['cpu']}; {'; '.join(result['compilers'])}; "
        + "; ".join(f"{name} `{flags}`" for name, flags in result["flags"].items())
        + f". Written by `{result['environment']['command']}`, {_link('desktop_c.json')}.",
    ]
    return "\n".join(lines)
