// Computes away from the page, which stays responsive; transform.js talks to it.
//
// SPDX-License-Identifier: BSD-3-Clause

import { Scattering } from "./scatter.js";

let scattering;

const answers = {
    async load({ bytes }) {
        scattering = await Scattering.load(bytes);
        return scattering.describe();
    },
    scatter({ pixels }) {
        scattering.image.set(pixels);
        const start = performance.now();
        scattering.scatter();
        const milliseconds = performance.now() - start;
        return { values: scattering.values(), milliseconds };
    },
    // The mean of as many passes as take so long: a browser's clock is too coarse for one of them.
    time({ atLeast }) {
        const start = performance.now();
        let passes = 0;
        let taken = 0;
        while (taken < atLeast) {
            scattering.scatter();
            passes++;
            taken = performance.now() - start;
        }
        return { milliseconds: taken / passes };
    },
};

onmessage = async ({ data }) => {
    try {
        postMessage(await answers[data.kind](data));
    } catch (error) {
        postMessage({ error: error.message });
    }
};
