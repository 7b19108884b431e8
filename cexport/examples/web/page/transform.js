// A transform of one size, computed by a worker.
//
// SPDX-License-Identifier: BSD-3-Clause

export class Transform {
    // told: an entry of transforms.json.
    static async open(told) {
        const transform = new Transform(told);
        transform.description = await transform.ask({ kind: "load", bytes: await moduleFor(told) });
        return transform;
    }

    constructor(told) {
        this.told = told;
        this.worker = new Worker("worker.js", { type: "module" });
        this.asked = Promise.resolve();
    }

    // Send a message; return the answer to it. One question after the other.
    ask(message) {
        const answer = this.asked.then(
            () =>
                new Promise((resolve, reject) => {
                    this.worker.onmessage = ({ data }) =>
                        data.error ? reject(new Error(data.error)) : resolve(data);
                    this.worker.onerror = () =>
                        reject(new Error("This browser cannot run the page's worker: update it."));
                    this.worker.postMessage(message);
                }),
        );
        this.asked = answer.catch(() => {});
        return answer;
    }

    // pixels: Float32Array, row after row. Returns all coefficients, the mean of every channel,
    // and the milliseconds the transform took.
    async scatter(pixels) {
        const { values, milliseconds } = await this.ask({ kind: "scatter", pixels });
        const { channels } = this.description;
        const size = values.length / channels;
        const means = Float64Array.from({ length: channels }, (_, channel) => {
            let sum = 0;
            for (let i = channel * size; i < (channel + 1) * size; i++) {
                sum += values[i];
            }
            return sum / size;
        });
        return { values, means, milliseconds };
    }

    // The milliseconds of a pass over the last picture, taken over `atLeast` milliseconds.
    async time(atLeast) {
        return (await this.ask({ kind: "time", atLeast })).milliseconds;
    }
}

// With vector instructions where the browser has them.
async function moduleFor({ simdModule, module }) {
    const bytes = await (await file(simdModule)).arrayBuffer();
    return WebAssembly.validate(bytes) ? bytes : (await file(module)).arrayBuffer();
}

// The response to a request for a file beside the page.
export async function file(name) {
    const response = await fetch(name);
    if (!response.ok) {
        throw new Error(`${name} is missing beside this page (${response.status}): build it again.`);
    }
    return response;
}
