// Arrays as files that numpy.load reads (format version 1.0).
//
// SPDX-License-Identifier: BSD-3-Clause

// values: Float32Array of a little-endian machine, as all that run browsers are.
export function npy(values, shape) {
    const head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
    // The values begin at a multiple of 64 bytes; ten come before the text.
    const length = Math.ceil((10 + head.length + 1) / 64) * 64 - 10;
    const start = new Uint8Array([0x93, ...bytes("NUMPY"), 1, 0, length & 255, length >> 8]);
    return new Blob([start, `${head.padEnd(length - 1)}\n`, values]);
}

function bytes(text) {
    return new TextEncoder().encode(text);
}
