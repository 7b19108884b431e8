"""The tables of benchmarks/PAPER.md: what the paper prints, and what this library measures."""

from __future__ import annotations

import json

from benchmarks.paper.experiment import RESULT_FOLDER

BANKS = ("accurate", "paper-tuned", "paper")


def _load(name: str) -> dict:
    return json.loads((RESULT_FOLDER / f"{name}.json").read_text())


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _number(value: float) -> str:
    """Return three significant digits, with an exponent only where there must be one."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}"


def _errors(errors: dict[str, float]) -> str:
    return ", ".join(
        f"{100 * error:.2g}" if error < 1 else f"{100 * error:.0f}" for error in errors.values()
    )


def _measured(result: dict) -> str:
    environment = result["environment"]
    return (
        f"Data: {result['data']}. Setting: {result['setting']}. Written by "
        f"`{environment['command']}` on {environment['cpu']}, {environment['threads']} cores."
    )


def figure_3() -> str:
    """Return the losses of the networks."""
    result = _load("fig3")
    names = {
        "paper": "complex modulus CNN, the paper's recipe",
        "paper, no decay": "the same without weight decay",
        "regular": "regular CNN: convolution, ReLU, pooling",
        "regular, linear end": "regular CNN with a linear last layer",
        "accurate, random start": "accurate design, the paper's recipe",
        "accurate": "accurate design, its own start and rate",
    }
    rows = []
    for key, words in names.items():
        found = result["networks"][key]
        floor = result["floors"].get(found["floor"], {}).get("share")
        rows.append(
            [
                words,
                f"{found['parameters']:,}",
                _number(found["loss"][-1]),
                _number(found["share"][-1]),
                "" if floor is None else _number(floor),
                _errors(found["held_out"]["errors"]),
            ]
        )
    head = ["network", "free numbers", "loss", "share", "floor", "S0, S1, S2 held out, %"]
    return "\n".join(
        [
            *_table(head, rows),
            "",
            "Loss: mean squared error after the last epoch. Share: the loss over the mean square "
            "of the coefficients. Floor: for the regular CNN a bound; for the others the share "
            "that their linear fit gives without any training on the loss. S1 and S2 together "
            f"hold {result['references']['S0 exact, all else zero']:.2g} of the mean square. "
            f"{result['images']} images. {_measured(result)}",
        ]
    )


def figure_4() -> str:
    """Return the losses by kernel size."""
    result = _load("fig4")
    kernels = result["kernels"]
    rows = []
    for K in kernels["paper"]:
        row = [f"{K} x {K}"]
        for design in ("paper", "accurate"):
            found = kernels[design][K]
            row += [_number(found["share"][-1]), _number(found["floor"]["share"])]
            row.append(_errors(found["held_out"]["errors"]))
        rows.append(row)
    head = ["kernels"]
    for words in ("the paper's", "accurate"):
        head += [f"{words}: share", "floor", "S0, S1, S2 held out, %"]
    return "\n".join([*_table(head, rows), "", f"{result['images']} images. {_measured(result)}"])


def filter_groups() -> str:
    """Return how near the learned filters of figures 5 to 7 come to Morlet wavelets."""
    rows, notes = [], []
    for number in (5, 6, 7):
        result = _load(f"fig{number}")
        notes.append(f"Figure {number}: {_measured(result)}")
        for variant, found in result["variants"].items():
            row = [str(number), variant]
            for level in ("first", "next"):
                filters = found["levels"][level]
                row += [_range(filters["similarity"]), _range(filters["norm_ratio"])]
            rows.append([*row, _errors(found["errors"])])
    head = ["figure", "recipe", "1st level: similarity", "norm", "2nd level: similarity", "norm"]
    return "\n".join(
        [
            *_table([*head, "S0, S1, S2 held out, %"], rows),
            "",
            "Similarity: normalised correlation with Kymatio's Morlet of the same orientation, at "
            "the best phase, smallest to largest of the eight; norm: relative to the Morlet's. "
            "The paper prints no number. " + " ".join(notes),
        ]
    )


def _range(values: list[float]) -> str:
    return f"{min(values):.2g} to {max(values):.2g}"


def table_1() -> str:
    """Return table 1 as printed, and with what it leaves out."""
    result = _load("table1")
    names = ["Kymatio", *BANKS, "local averaging", "almost constant"]
    head = ["disturbance", "‖x − y‖²", "Kymatio", "the paper's", "‖x − y‖² here", *names]
    raw, controlled, normalised = [], [], []
    for row in result["table"]:
        kind = row["kind"]
        printed = result["printed"][kind]
        cells = [_number(printed[key]) for key in ("pixels", "Kymatio", "paper")]
        cells.append(_number(row["pixels"]["raw"]["whole"]))
        raw.append([kind, *cells, *(_number(row[name]["raw"]["whole"]) for name in names)])
        controlled.append(
            [kind, *(_number(row[name]["within/between"]["whole"]) for name in ("pixels", *names))]
        )
        for order in ("S1", "S2"):
            values = [row[name]["normalised"].get(order) for name in names[:-2]]
            values += [row[name].get("gain-matched", {}).get(order) for name in names[:-2]]
            normalised.append([kind, order, *map(_number, values)])
    undisturbed = result["undisturbed, against Kymatio"]
    own = [
        [name]
        + [_number(undisturbed[name]["norm"].get(order, 0)) for order in ("S0", "S1", "S2")]
        + [
            f"{100 * undisturbed[name]['error at the best gain'][order]:.2g} %"
            for order in ("S0", "S1", "S2")
        ]
        for name in BANKS
    ]
    agreement = result["largest relative difference from Kymatio's curves"]
    head_n = ["disturbance", "order", *(f"{name}, normalised" for name in names[:-2])]
    head_n += [f"{name}, gain-matched" for name in names[:-2]]
    return "\n".join(
        [
            "As printed, mean squared differences (the first three numbers are the paper's):",
            "",
            *_table(head, raw),
            "",
            "Distance to the disturbed image over distance to another image (1: no better than "
            "chance; smaller is better):",
            "",
            *_table(["disturbance", "pixels", *names], controlled),
            "",
            "Normalised, (‖Sx − Sy‖ / ‖Sx‖) / (‖x − y‖ / ‖x‖), and the raw difference at Kymatio's "
            "gain, per order:",
            "",
            *_table(head_n, normalised),
            "",
            "Undisturbed: norm relative to Kymatio's, and error at the best gain:",
            "",
            *_table(
                ["bank", "norm S0", "S1", "S2", "error S0", "S1", "S2"],
                own,
            ),
            "",
            "Over all strengths and orders, `accurate` differs from Kymatio's curves by at most "
            f"{100 * agreement['accurate']:.2g} %, `paper-tuned` by "
            f"{100 * agreement['paper-tuned']:.2g} %, `paper` by {100 * agreement['paper']:.2g} %. "
            f"{result['images']} images. {_measured(result)}",
        ]
    )


def table_2() -> str:
    """Return table 2: ratios to Kymatio."""
    result = _load("table2")
    rows = []
    for order, found in result["orders"].items():
        printed = found["printed"]["CPU"]
        rows.append(
            [order, "printed", "the paper's network", "", "", f"{printed['ratio']:.3g}", ""]
        )
        for timed in ("one thread", "all cores"):
            for name, one in found[timed]["contestants"].items():
                if one["ms_per_image"] is None:
                    continue
                rows.append(
                    [
                        order,
                        timed,
                        name,
                        _number(one["ms_per_image"]),
                        f"{one['images_per_second']:,.0f}",
                        *(
                            _number(one[key]) if key in one else ""
                            for key in (
                                "times_as_fast_as_kymatio_torch",
                                "times_as_fast_as_kymatio",
                            )
                        ),
                    ]
                )
    gpu = {order: found["GPU"] for order, found in result["orders"].items()}
    printed = ", ".join(
        f"{order} {found['printed']['GPU']['ratio']:.3g}"
        for order, found in result["orders"].items()
    )
    device = (
        f"The printed GPU ratios ({printed}) are not checked: no GPU was at hand."
        if set(gpu.values()) == {"no GPU"}
        else f"On a GPU: {json.dumps(gpu)}; printed: {printed}."
    )
    head = ["order", "threads", "what", "ms per image", "images / s"]
    return "\n".join(
        [
            *_table([*head, "times Kymatio Torch", "times the faster Kymatio"], rows),
            "",
            f"{device} {_measured(result)}",
        ]
    )


def serve() -> str:
    """Return whether the coefficients classify as Kymatio's do."""
    result = _load("serve")
    rows = []
    for entry in result["summary"]:
        largest = entry["largest"]
        rows.append(
            [
                entry["set"],
                entry["representation"],
                {"retrained": "its own", "trained_on_Kymatio": "Kymatio's"}[entry["classifier"]],
                f"{largest['difference']:+.2f}",
                f"{entry['including_zero']} of {entry['comparisons']}",
                ", ".join(f"{count} {name}" for name, count in entry["verdicts"].items()),
            ]
        )
    accuracies = []
    for name, found in result["sets"].items():
        size = found["sizes"][-1]
        chosen = {
            row["representation"]: row["accuracy"]
            for row in found["retrained"]
            if row["size"] == size and row["kernel"] == "linear"
        }
        accuracies.append([name, str(size), *(f"{value:.1f}" for value in chosen.values())])
    head = ["images", "bank", "classifier", "largest difference", "includes zero", "verdicts"]
    return "\n".join(
        [
            *_table(["images", "per class", *chosen], accuracies),
            "",
            "Accuracy in percent at the largest training set, linear SVM. Below: the largest "
            "difference to Kymatio in percentage points over all training sizes and both kernels, "
            "with a classifier trained on the bank's own coefficients and with one trained on "
            "Kymatio's and never retrained; at how many sizes the 95 % interval of the paired "
            "difference includes zero; equivalent: the interval lies within one point.",
            "",
            *_table(head, rows),
            "",
            _measured(result),
        ]
    )


def bounds() -> str:
    """Return the bounds and how much of them attacks reached."""
    result = _load("bounds")
    names = []
    for found in result["banks"].values():
        names += [name for name in found["bounds"] if name not in names]
    rows = []
    for name in names:
        row = [name]
        for bank in BANKS:
            outcome = result["banks"][bank]["bounds"].get(name)
            row += (
                [_number(outcome["bound"]), f"{100 * outcome['tightness']:.0f} %"]
                if outcome
                else ["", ""]
            )
        rows.append(row)
    head = ["bound"]
    for bank in BANKS:
        head += [f"`{bank}`", "reached"]
    photographs = [
        f"`{bank}` {_number(found['photographs']['distance from Kymatio'][order])} "
        f"({order}, certified {_number(found['photographs']['certificate'][order])})"
        for bank, found in result["banks"].items()
        for order in ("S1", "S2")
    ]
    energies = [
        f"`{bank}` "
        + ", ".join(
            f"{order} {_number(share)}" for order, share in found["photographs"]["energy"].items()
        )
        for bank, found in result["banks"].items()
    ]
    deformations = [
        f"`{bank}` {_number(max(found['deformation'].values()))}"
        for bank, found in result["banks"].items()
    ]
    return "\n".join(
        [
            f"{result['attempts']:,} attempts, {result['attempts per bound']:,} for every bound of "
            f"every bank: **{result['violations']} violations**.",
            "",
            *_table(head, rows),
            "",
            "Reached: the largest value found, of random inputs and by gradients, as a share of "
            "the bound (of lower bounds the bound as a share of the smallest value). On "
            f"photographs of mean zero, the largest ‖V(x) − S(x)‖ / ‖x‖: {'; '.join(photographs)}; "
            f"mean energy 4^J ‖V(x)‖² / ‖x‖²: {'; '.join(energies)}. The worst deformation found, "
            f"{result['deformation is']}: {'; '.join(deformations)}. "
            f"{_measured(result)}",
        ]
    )


TABLES = {
    "fig3": figure_3,
    "fig4": figure_4,
    "groups": filter_groups,
    "table1": table_1,
    "table2": table_2,
    "serve": serve,
    "bounds": bounds,
}
