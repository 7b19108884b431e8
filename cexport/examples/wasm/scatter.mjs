// Runs a module that build.sh made. In Node:
//
//     node scatter.mjs MODULE.wasm                      what it computes, as JSON
//     node scatter.mjs MODULE.wasm PICTURE              one line per channel: its path and its mean
//     node scatter.mjs MODULE.wasm PICTURE OUTPUT.raw   writes all coefficients
//
// PICTURE is a binary PGM (.pgm) of 8 bits per pixel, whose centre is taken, or a raw file of
// exactly height x width pixels: bytes for a Q15 module, little-endian float32 for a float one.
// OUTPUT.raw holds channels x rows x columns numbers, little-endian: int16 for a Q15 module, where q
// stands for q / 2^exponent of its channel, float32 for a float one. Exit codes: 0 done, 1 failed, 2 wrong usage.
//
// In a browser: import { Scattering } from "./scatter.mjs", then
//
//     const scattering = await Scattering.load(await (await fetch("scatter.wasm")).arrayBuffer());
//     scattering.image.set(pixels);
//     scattering.scatter();
//     const values = scattering.values();
//
// SPDX-License-Identifier: BSD-3-Clause

export class Scattering {
    // bytes: the module. There is nothing to import into it.
    static async load(bytes) {
        const { instance } = await WebAssembly.instantiate(bytes);
        return new Scattering(instance.exports);
    }

    constructor(exports) {
        const memory = exports.memory.buffer;
        this.exports = exports;
        this.q15 = exports.q15() === 1;
        this.J = exports.J();
        this.L = exports.L();
        this.height = exports.height();
        this.width = exports.width();
        this.channels = exports.channels();
        this.outHeight = exports.out_height();
        this.outWidth = exports.out_width();
        this.mapSize = this.outHeight * this.outWidth;

        // Views of the module's own memory.
        const Pixels = this.q15 ? Uint8Array : Float32Array;
        const Coefficients = this.q15 ? Int16Array : Float32Array;
        this.image = new Pixels(memory, exports.image(), this.height * this.width);
        this.output = new Coefficients(memory, exports.output(), this.channels * this.mapSize);

        const text = new Uint8Array(memory, exports.provenance());
        this.provenance = new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
        // Of every channel [j1, theta1, j2, theta2], as far as it has them.
        const paths = new Int8Array(memory, exports.paths(), 4 * this.channels);
        this.paths = Array.from({ length: this.channels }, (_, channel) =>
            [...paths.subarray(4 * channel, 4 * channel + 4)].filter((n) => n >= 0),
        );
        // Coefficient q of channel c stands for q / 2^exponents[c].
        this.exponents = this.q15
            ? [...new Int8Array(memory, exports.exponents(), this.channels)]
            : new Array(this.channels).fill(0);
    }

    // From image to output.
    scatter() {
        const status = this.exports.scatter();
        if (status !== 0) {
            throw new Error(`scatter() returned ${status}`);
        }
    }

    // The output in the units of the pixels.
    values() {
        if (!this.q15) {
            return this.output.slice();
        }
        return Float32Array.from(
            this.output,
            (q, i) => q / 2 ** this.exponents[Math.floor(i / this.mapSize)],
        );
    }

    describe() {
        const { provenance, q15, J, L, height, width, channels, outHeight, outWidth } = this;
        const { paths, exponents } = this;
        const sizes = { J, L, height, width, channels, outHeight, outWidth };
        const selftest = this.exports.selftest?.(); // 0 is right; built with -DNPS_SELFTEST only
        return { provenance, q15, ...sizes, paths, exponents, selftest };
    }
}

// The centre, of `height` rows and `width` columns, of a binary PGM of 8 bits per pixel, and the
// rows and columns of the whole.
export function pgmCentre(bytes, height, width) {
    const head = new TextDecoder("latin1").decode(bytes.subarray(0, 65536));
    const space = "(?:[ \\t-\\r]|#[^\\r\\n]*[\\r\\n])";
    const match = new RegExp(`^P5${`${space}+(\\d+)`.repeat(3)}${space}`).exec(head);
    if (!match) {
        throw new Error("not a binary PGM picture: must begin with P5, width, height and maxval");
    }
    const [columns, rows, maxval] = match.slice(1).map(Number);
    if (maxval !== 255) {
        throw new Error(`maxval is ${maxval}, must be 255 (8 bits per pixel)`);
    }
    if (rows < height || columns < width) {
        const size = `${rows} x ${columns} (height x width)`;
        throw new Error(`too small: ${size}, needs ${height} x ${width}`);
    }
    const pixels = bytes.subarray(match[0].length);
    if (pixels.length < rows * columns) {
        throw new Error(`truncated: fewer than ${rows} x ${columns} pixels`);
    }
    const top = Math.floor((rows - height) / 2);
    const left = Math.floor((columns - width) / 2);
    const centre = new Uint8Array(height * width);
    for (let y = 0; y < height; y++) {
        const start = (top + y) * columns + left;
        centre.set(pixels.subarray(start, start + width), y * width);
    }
    return { rows, columns, centre };
}

function setImage(scattering, bytes, isPgm) {
    const { image, height, width } = scattering;
    if (isPgm) {
        const { rows, columns, centre } = pgmCentre(bytes, height, width);
        image.set(centre);
        if (rows !== height || columns !== width) {
            const taken = `the centre ${height} x ${width} is taken`;
            console.error(`scatter: ${rows} x ${columns}, of which ${taken}`);
        }
        return;
    }
    if (bytes.length !== image.byteLength) {
        const kind = scattering.q15 ? "bytes" : "float32";
        throw new Error(
            `${bytes.length} bytes, must be ${image.byteLength}: ${height} x ${width} ${kind}`,
        );
    }
    new Uint8Array(image.buffer, image.byteOffset, image.byteLength).set(bytes);
}

function printMeans({ channels, mapSize, paths }, values) {
    for (let channel = 0; channel < channels; channel++) {
        const map = values.subarray(channel * mapSize, (channel + 1) * mapSize);
        const mean = map.reduce((sum, value) => sum + value, 0) / mapSize;
        console.log(`${channel} [${paths[channel]}] ${mean.toPrecision(9)}`);
    }
}

async function main([modulePath, picturePath, outputPath, ...rest]) {
    const { readFile, writeFile } = await import("node:fs/promises");
    if (modulePath === undefined || modulePath.startsWith("-") || rest.length > 0) {
        console.error("usage: node scatter.mjs MODULE.wasm [PICTURE [OUTPUT.raw]]");
        return 2;
    }
    let path = modulePath;
    try {
        const scattering = await Scattering.load(await readFile(path));
        if (picturePath === undefined) {
            console.log(JSON.stringify(scattering.describe()));
            return 0;
        }
        path = picturePath;
        setImage(scattering, await readFile(path), path.toLowerCase().endsWith(".pgm"));
        scattering.scatter();
        if (outputPath === undefined) {
            printMeans(scattering, scattering.values());
            return 0;
        }
        path = outputPath;
        const { output } = scattering;
        await writeFile(path, new Uint8Array(output.buffer, output.byteOffset, output.byteLength));
        return 0;
    } catch (error) {
        console.error(`scatter: ${path}: ${error.message}`);
        return 1;
    }
}

if (typeof process !== "undefined" && process.argv?.[1]) {
    const { pathToFileURL } = await import("node:url");
    const { realpathSync } = await import("node:fs");
    if (import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
        process.exitCode = await main(process.argv.slice(2));
    }
}
