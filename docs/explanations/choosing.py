r"""
What to choose, and what it costs
=================================

Which scale, orientations, bank, orders, boundary and precision to take, with the errors and speeds
that were measured, and the work that can be counted.

.. list-table::
   :header-rows: 1
   :widths: 16 26 58

   * - choice
     - begin with
     - change it if
   * - ``bank``
     - ``"accurate"``
     - a classifier learns on the coefficients, or time is short: ``"fast"``
   * - ``J``
     - 3
     - what you look for is larger than 8 pixels, or moves by more: one more for twice the size
   * - ``L``
     - 8
     - angles do not matter much, or channels are too many: 4 or 6
   * - ``max_order``
     - 2
     - textures' arrangement does not matter: 1, for a third of the time and far fewer channels
   * - ``average``
     - True
     - where things are does not matter: ``"global"``; you average yourself: ``False``
   * - ``boundary``
     - the bank's own
     - your data are periodic, or zero beyond the edge
   * - dtype
     - ``float32``
     - you differentiate numerically, or compare with float64: ``float64``

The sections below say why, and print what each costs.

Needs a checkout of the repository, and in it ``pip install -e ".[docs]"``.
"""

# %%
# Measured numbers are read from the files in ``benchmarks/results`` of the repository, where
# commands wrote them: nothing is timed here. Work is counted from the program that the planner
# makes, one multiply-add for each product that is added to a sum.

import json
from functools import lru_cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import npscatter
from npscatter import FilterBank, Scattering2D

RESULTS = Path(npscatter.__file__).parents[1] / "benchmarks" / "results"
accuracy = json.loads((RESULTS / "accuracy.json").read_text())
speed = json.loads((RESULTS / "speed.json").read_text())
costs = json.loads((RESULTS / "costs.json").read_text())


@lru_cache
def products(bank, weights, orientations=None):
    """Return the multiply-adds per sample of one weight array."""
    return bank.summation(weights, orientations)[0].multiply_adds if weights else 0


def multiply_adds(S):
    """Return the multiply-adds of one image per pixel of it."""
    total = 0
    for step in S.plan.steps:
        total += step.modulus_samples * products(S.bank, step.wavelets, step.orientations)
        total += step.smoothed_samples * products(S.bank, step.smoothing)
    return total / np.prod(S.shape)


# %%
# J: how large
# ------------
# Scattering looks at scales from 1 to about :math:`2^J` pixels, and gives one sample for every
# :math:`2^J \times 2^J` of them. Larger J sees larger structures and is steadier under shifts, and
# says less exactly where. Channels grow as J squared, samples shrink by four: there are most
# numbers at J = 2. From J = 2 on work grows slowly, as each further octave has a quarter of the
# samples but more paths end there; at the last ones it is the padding, :math:`2^J` pixels on each
# side, that adds to it.

print(" J  channels  samples  numbers per pixel  multiply-adds per pixel (order 1)")
work = {}
for J in range(1, 7):
    S = Scattering2D(J, (256, 256))
    C, h, w = S.output_shape
    work[J] = multiply_adds(S)
    first = multiply_adds(Scattering2D(J, (256, 256), max_order=1))
    print(f"{J:2}{C:10}{h:6} x {w:<4}{C * h * w / 256**2:15.2f}{work[J]:21.0f} ({first:.0f})")
assert all(work[J] < work[J + 1] for J in range(1, 6)) and work[6] < 5 * work[2]

# %%
# The small side must have :math:`2^J` pixels or more. Where only means are wanted, take the largest
# J that makes sense: the share of the border grows with it (see below).
#
# L: how many directions
# ----------------------
# Eight orientations are 22.5 degrees apart, six 30 and four 45. Second-order channels grow
# as L squared, and the work nearly so. The wavelets of fewer orientations are wider in angle, so
# that no direction is missed. Stripes that turn, and S1 of scale 1, a line for each orientation:

n, J = 64, 2
angles = np.arange(0, 181, 5)
down, right = np.mgrid[:n, :n]
turned = np.array(
    [np.cos(0.375 * np.pi * (np.cos(a) * down + np.sin(a) * right)) for a in np.radians(angles)]
)
fig, axes = plt.subplots(1, 3, figsize=(8, 3), layout="constrained", sharey=True)
print("  L  channels at J = 3  multiply-adds per pixel, accurate and fast")
for ax, L in zip(axes, (4, 6, 8), strict=True):
    S = Scattering2D(J, (n, n), L=L, average="global", max_order=1, boundary="symmetric")
    of_first = S.meta()
    channels = np.flatnonzero((of_first["order"] == 1) & (of_first["j"][:, 0] == 1))
    ax.plot(angles, S(turned)[:, channels])
    ax.set(title=f"L = {L}", xlabel="angle, degrees", xticks=(0, 45, 90, 135, 180))
    large = [Scattering2D(3, (256, 256), L=L, bank=bank) for bank in ("accurate", "fast")]
    per_pixel = [multiply_adds(one) for one in large]
    print(f"{L:3}{large[0].n_coefficients:12}{per_pixel[0]:22.0f}{per_pixel[1]:8.0f}")
axes[0].set_ylabel("S1 of scale 1")
assert large[0].n_coefficients == 1 + 3 * 8 + 3 * 64

# %%
# Between two orientations a direction is told by the proportion of the two, so four are enough
# where a direction is all there is to tell. Papers on classification mostly take 8, on
# cosmic fields 4.
#
# The bank: how exact
# -------------------
# Errors against Kymatio, on photographs that were kept out of learning, J = 1 to 5 at sides of 32,
# 64 and 224 pixels; the bars go from the smallest to the largest of S2. Work is at J = 2.

names = list(accuracy["banks"])
assert all(FilterBank.load(name).sha256 == accuracy["banks"][name]["sha256"] for name in names)

fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
worst = {}
for name in names:
    rows = [r for r in accuracy["rows"] if (r["bank"], r["section"]) == (name, "photographs")]
    errors = [100 * r["errors"]["S2"] for r in rows if "S2" in r["errors"]]
    worst[name] = max(errors)
    per_pixel = accuracy["banks"][name]["multiply_adds_per_pixel_J2"]
    x = per_pixel["folded"] or per_pixel["direct"]
    (line,) = ax.plot(x, np.median(errors), "o", ms=8)
    ax.vlines(x, min(errors), max(errors), color=line.get_color(), lw=2)
    ax.annotate(name, (x, np.median(errors)), (9, -3), textcoords="offset points", fontsize=9)
ax.set(xscale="log", yscale="log", xlim=(90, 2200), ylim=(0.1, 150))
ax.set(xlabel="multiply-adds per pixel, J = 2", ylabel="error of S2, %")
ax.set_xticks((100, 200, 500, 1000, 2000), (100, 200, 500, 1000, 2000))
ax.set_yticks((0.1, 1, 10, 100), (0.1, 1, 10, 100))
ax.grid(alpha=0.3)

for name, value in worst.items():
    print(f"{name:14} S2 off Kymatio's by up to {value:.2g} %")
assert worst["accurate"] < 0.5 < worst["fast"] < 2 < worst["paper-tuned"] < worst["paper"]

# %%
# ``paper`` and ``paper-tuned`` are there to compare with; :doc:`/banks` says what they are. How
# many times as fast as the faster of Kymatio's CPU backends ``accurate`` and ``fast`` were when
# this was measured, with all cores (:doc:`/auto_explanations/measured` says how):

environment = speed["environment"]
print(environment["cpu"], "with", environment["cores"], "cores")
for name, workload in speed["workloads"].items():
    found = workload["all cores"]["contestants"]
    times = [found[bank]["times_as_fast_as_kymatio"] for bank in ("accurate", "fast")]
    print(f"  {name:15} accurate {times[0]:4.0f}   fast {times[1]:4.0f}")

# %%
# ``fast`` has half the multiply-adds and is not twice as fast, of small pictures at J = 1 not at
# all: folding the samples and taking moduli costs both the same. Whether a percent matters is seen
# on the task, not in this table: compute both, and compare what comes of them. For a classifier it
# has not mattered in what we tried (:doc:`/paper`); for statistics that are compared with Kymatio's
# it does.
#
# Orders and averages: what to compute
# ------------------------------------
# What is not asked for is not computed. Times per image as measured for whole jobs (224 x 224,
# batches of 64), and as a share of those of the first line when one image of thousands of pixels a
# side is transformed:

print(f"{'':44}{'ms':>6}{'large image':>13}")
for name, one in costs["choices"].items():
    print(f"{name:44}{one['ms_per_image']:6.2f}{one['times_of_large']:12.0%}")

# %%
# The first order alone costs a third and has 25 of 217 channels at J = 3. Second order is what
# tells textures of the same spectrum apart (:doc:`/auto_explanations/meaning`).
# ``average="global"`` gives one number for each channel, ``average=False`` the moduli at full
# detail, and ``paths=`` some channels only. Numbers per image, and work:

wanted = {
    "maps": {},
    "maps, twice the samples": {"oversampling": 1},
    "maps of order 1": {"max_order": 1},
    "means": {"average": "global"},
    "moduli": {"average": False},
    "second order of j1 = 0 alone": {"paths": "j1 = 0"},
}
of_all = Scattering2D(3, (224, 224)).meta()
numbers, counted = {}, {}
for name, options in wanted.items():
    if "paths" in options:
        options = {"paths": (of_all["order"] == 2) & (of_all["j"][:, 0] == 0)}
    S = Scattering2D(3, (224, 224), **options)
    shapes = S.output_shape if S.average is False else [S.output_shape]
    numbers[name] = sum(int(np.prod(shape)) for shape in shapes)
    counted[name] = multiply_adds(S)
    print(f"{name:30}{numbers[name]:9} numbers {counted[name]:6.0f} multiply-adds per pixel")
assert numbers["means"] == 217 and counted["maps of order 1"] < counted["maps"] / 2

# %%
# The boundary: what lies beyond the edge
# ---------------------------------------
# Every coefficient within about :math:`2^J` pixels of an edge depends on what is supposed to be
# beyond it. ``"kymatio"`` mirrors at the edge pixels; that is what the banks' errors were measured
# with. A brick wall under five boundaries, one map of S1:

wall = data.brick()[100:228, 100:228] / 255
boundaries = ("kymatio", "symmetric", "constant", "periodic", "zero")
maps = {b: Scattering2D(4, wall.shape, boundary=b)(wall) for b in boundaries}
channel = 1 + 1 * 8 + 3  # j = 1, theta = 3: horizontal edges
fig, axes = plt.subplots(1, 6, figsize=(8, 1.9), layout="constrained")
axes[0].imshow(wall, cmap="gray")
axes[0].set_title("picture", fontsize=10)
highest = maps["kymatio"][channel].max() * 1.5
for ax, name in zip(axes[1:], boundaries, strict=True):
    ax.imshow(maps[name][channel], vmin=0, vmax=highest)
    ax.set_title(name, fontsize=10)
for ax in axes:
    ax.set_axis_off()

ring = np.ones((8, 8), bool)
ring[1:-1, 1:-1] = False
inner = np.zeros((8, 8), bool)
inner[3:5, 3:5] = True
print("difference from kymatio's in S1 and S2:  outermost samples   innermost")
off = {}
for name in boundaries[1:]:
    for where, mask in (("ring", ring), ("inner", inner)):
        ours, theirs = maps[name][1:, mask], maps["kymatio"][1:, mask]
        off[name, where] = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    print(f"{name:39} {off[name, 'ring']:14.0%} {off[name, 'inner']:15.2%}")
assert all(off[name, "inner"] < off[name, "ring"] / 5 for name in boundaries[1:])

# %%
# ``"zero"`` makes an edge of the whole frame: right for images that are dark outside, such as
# digits or galaxies, wrong for photographs. ``"periodic"`` is for simulations on a torus.
#
# The dtype
# ---------
# float32 and float64 are computed as they come; bytes become float32. What float32 adds is far
# below what the bank is off by, and it is the faster: a vector holds twice as many.

both = [Scattering2D(3, wall.shape)(wall.astype(dtype)) for dtype in (np.float32, np.float64)]
rounding = np.linalg.norm(both[0] - both[1]) / np.linalg.norm(both[1])
print(f"float32 against float64: {rounding:.0e}; accurate against Kymatio: about 2e-03")
assert both[0].dtype == np.float32 and rounding < 1e-5

# %%
# Coefficients may be stored as float16 to save space, if they are not too small: see
# :doc:`/auto_explanations/limits`, which has the rest of what to look out for.
