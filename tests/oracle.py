"""The scattering transform by its definition, in plain loops: what every executor must equal.

Nothing here comes from the package. Maps are lists of rows, stacks of maps are lists of maps, and
the weights are arrays of the shapes

    psi_first (L, 1, K, K), carry_first (R, 1, K, K), low_first (1, 1, K, K),
    psi_next  (L, R, K, K), carry_next  (R, R, K, K), low_next  (1, R, K, K),

psi complex, K odd and of any size in each. All filters are correlations with a centred kernel.
"""

import math

import numpy as np


def scattering(
    image,
    weights,
    *,
    J,
    L,
    R,
    max_order=2,
    psi_stride=1,
    next_from="carried",
    boundary="kymatio",
    pre_pad=False,
    shape=None,
    average=True,
    oversampling=0,
):
    """Return the coefficients of one image, shape (C, H // 2^J, W // 2^J), float64.

    `shape` is that of the image before padding, if it comes padded; by default 2^J pixels less on
    every side. The order of the channels is S0; S1 by j1, t1; S2 by j1, t1, j2, t2. For
    average=False a list of the moduli themselves, for "global" their means, shape (C,).
    """
    wrap = boundary != "zero"
    x, crop = finest_grid(np.asarray(image, float).tolist(), J, boundary, pre_pad, shape)

    def kept(samples, halved):
        """Return the samples on the image of a grid that was halved so often."""
        (top, height), (left, width) = (on_image(*axis, halved) for axis in crop)
        return [row[left : left + width] for row in samples[top : top + height]]

    def taps(kind, level, octave):
        """Return the weights for maps that entered at `level` and now are at `octave`."""
        first = octave == (level if next_from == "carried" else 0)
        return weights[f"{kind}_first" if first else f"{kind}_next"]

    def smoothing_stride(order, level, octave):
        """Every octave halves once; a wavelet of stride 2 has halved its modulus already."""
        return 1 if psi_stride == 2 and order > 0 and octave == level else 2

    def carried(u, order, level, octave):
        """Return the raw map u, which enters at `level`, carried on to `octave`."""
        if octave == level:
            return [u]
        before = carried(u, order, level, octave - 1)
        maps = correlate(
            before,
            taps("carry", level, octave - 1),
            smoothing_stride(order, level, octave - 1),
            wrap,
        )
        assert len(maps) == R
        return maps

    def wavelet_moduli(u, order, level, octave):
        """Return |psi_theta u| at the scale of `octave` for every orientation theta."""
        maps, psi = carried(u, order, level, octave), taps("psi", level, octave)
        real = correlate(maps, psi.real, psi_stride, wrap)
        imaginary = correlate(maps, psi.imag, psi_stride, wrap)
        assert len(real) == L
        return [modulus(re, im) for re, im in zip(real, imaginary, strict=True)]

    def output(u, order, level):
        """Return the output channel of u: smoothed to the coarsest scale, margin cropped."""
        if average is not True:
            samples = np.array(kept(u, level + (psi_stride == 2 and order > 0)))
            return samples if average is False else math.fsum(samples.ravel()) / samples.size
        maps, low = carried(u, order, level, J - 1), taps("low", level, J - 1)
        stride = smoothing_stride(order, level, J - 1) // 2**oversampling
        (smooth,) = correlate(maps, low, stride, wrap)
        return kept(smooth, J - oversampling)

    S0, S1, S2 = [output(x, 0, 0)], [], []
    for j1 in range(J):
        for u1 in wavelet_moduli(x, 0, 0, j1):
            S1.append(output(u1, 1, j1))
            if max_order == 2:
                for j2 in range(j1 + 1, J):
                    for u2 in wavelet_moduli(u1, 1, j1, j2):
                        S2.append(output(u2, 2, j2))
    channels = S0 + S1 + S2
    return channels if average is False else np.array(channels)


def correlate(maps, taps, stride, wrap):
    """Return sum over i, a, b of taps[o, i, a, b] maps[i][s y + a - K//2][s x + b - K//2].

    The result has one map per o, of ceil(height / s) rows of ceil(width / s) samples.
    """
    taps = taps.tolist()
    height, width, K = len(maps[0]), len(maps[0][0]), len(taps[0][0])
    results = []
    for kernels in taps:
        result = []
        for y in range(math.ceil(height / stride)):
            result.append([])
            for x in range(math.ceil(width / stride)):
                total = 0.0
                for source, kernel in zip(maps, kernels, strict=True):
                    for a in range(K):
                        row = stride * y + a - K // 2
                        if wrap:
                            row %= height
                        elif not 0 <= row < height:
                            continue
                        for b in range(K):
                            column = stride * x + b - K // 2
                            if wrap:
                                column %= width
                            elif not 0 <= column < width:
                                continue
                            total += kernel[a][b] * source[row][column]
                result[-1].append(total)
        results.append(result)
    return results


def modulus(real, imaginary):
    """Return sqrt(re^2 + im^2), sample by sample."""
    return [
        [math.hypot(re, im) for re, im in zip(res, ims, strict=True)]
        for res, ims in zip(real, imaginary, strict=True)
    ]


def finest_grid(image, J, boundary, pre_pad, shape):
    """Return the image on the grid it is computed on, and per axis what `on_image` is given."""
    H, W = shape or (len(image) - 2 * 2**J, len(image[0]) - 2 * 2**J)
    rows, kept_rows = axis(len(image), J, boundary, pre_pad, H)
    columns, kept_columns = axis(len(image[0]), J, boundary, pre_pad, W)
    grid = [[0.0 if y is None or x is None else image[y][x] for x in columns] for y in rows]
    return grid, (kept_rows, kept_columns)


def on_image(before, side, halved):
    """Return (first, number) of the samples on an image, of a grid that was halved so often.

    The image has `before` samples in front of it on the finest grid, and `side` pixels.
    """
    first = 0
    while first * 2**halved < before:
        first += 1
    return first, side // 2**halved


def axis(side, J, boundary, pre_pad, unpadded):
    """Return, for one axis, the pixel at every grid point (None: zero), and (before, side)."""
    period = 2**J
    if pre_pad:  # the image is the padded grid; one output sample per side is cropped
        return list(range(side)), ((side - unpadded) // 2, unpadded)
    if boundary == "periodic":
        return list(range(side)), (0, side)
    padded = ((side + period) // period + 1) * period
    left = (padded - side) // 2
    if boundary == "zero":
        # the fewest zeros in front that leave the samples on the same pixels as elsewhere
        zeros = left % period
        return [None] * zeros + list(range(side)), (zeros, side)
    pixel = {"kymatio": reflected, "symmetric": reflected_at_edges, "constant": nearest}[boundary]
    return [pixel(i - left, side) for i in range(padded)], (left, side)


def reflected(i, side):
    """Return the pixel seen at position i in mirrors that stand on the first and last pixel."""
    while not 0 <= i < side:
        i = -i if i < 0 else 2 * (side - 1) - i
    return i


def reflected_at_edges(i, side):
    """Return the pixel seen at position i in mirrors at the outer edges of the pixels."""
    while not 0 <= i < side:
        i = -1 - i if i < 0 else 2 * side - 1 - i
    return i


def nearest(i, side):
    """Return the pixel that is nearest to position i."""
    return 0 if i < 0 else side - 1 if i >= side else i
