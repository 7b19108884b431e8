// The page: what its controls do, and the loop from picture to discs.
//
// SPDX-License-Identifier: BSD-3-Clause

import { Disc, number } from "./disc.js";
import { npy } from "./npy.js";
import { greySquare, pictureOf, pictureOfCamera } from "./picture.js";
import { file, Transform } from "./transform.js";

const SECONDS_OF_A_TURN = 12;
const RECENT = 30; // pictures that the times of live ones are taken over
const LONG_ENOUGH = 200; // milliseconds to time a picture that stands still

const at = (id) => document.getElementById(id);
let known; // transforms.json
let picture, transform, result;
let discs = [];
let turning = false;
let changed = false; // the picture, or the transform
let running = false;
let asked = 0; // pictures so far
let wanted; // the name of the transform that was chosen last
const transforms = new Map(); // promises of those opened so far, by their names
let recent = []; // of live pictures: when each was shown, and the milliseconds it took

// Say what is wrong; nothing is, without a message.
function tell(message = "") {
    at("problem").textContent = message;
    at("problem").hidden = !message;
    if (message) {
        at("problem").scrollIntoView({ block: "nearest" });
    }
}

// Run what a control does; what goes wrong is told.
const told =
    (action) =>
    async (...given) => {
        tell();
        try {
            await action(...given);
        } catch (error) {
            tell(error.message);
        }
    };

// Pictures

function setPicture(next) {
    picture?.stop();
    picture = next;
    if (picture.live) {
        turning = false;
    }
    refresh();
}

// Of several that were asked for, whichever is ready first, the last is shown.
async function show(opening) {
    const mine = ++asked;
    const opened = await opening;
    if (mine === asked) {
        setPicture(opened);
    } else {
        opened.stop();
    }
}

function openFile(given) {
    return show(pictureOf(given, given.name));
}

async function sample() {
    const blob = await (await file("picture.png")).blob();
    return pictureOf(blob, "the sample picture");
}

function openSample() {
    return show(sample());
}

async function toggleCamera() {
    if (picture?.live) {
        await openSample();
        return;
    }
    const lost = told(async () => {
        await openSample();
        throw new Error("The camera went away; this is the sample picture.");
    });
    await show(pictureOfCamera(lost));
}

async function toggleTurning() {
    turning = !turning;
    if (turning && picture?.live) {
        await openSample();
    }
    refresh();
}

// The transform

async function openTransform(name) {
    wanted = name;
    if (!transforms.has(name)) {
        transforms.set(name, Transform.open(known.transforms.find((each) => each.name === name)));
        transforms.get(name).catch(() => transforms.delete(name));
    }
    let opened;
    try {
        opened = await transforms.get(name);
    } catch (error) {
        if (transform && wanted === name) {
            at("transform").value = wanted = transform.told.name; // which goes on
        }
        throw error;
    }
    if (wanted !== name) {
        return; // another was chosen meanwhile
    }
    transform = opened;
    result = undefined;
    at("save").disabled = true;
    const { paths, provenance } = transform.description;
    discs = transform.told.discs.map(
        (geometry, i) => new Disc(at(`disc${i + 1}`), i + 1, geometry, paths, known.colors),
    );
    at("provenance").textContent = provenance;
    fillTable(paths);
    refresh();
}

// The loop

function refresh() {
    changed = true;
    recent = [];
    at("camera").setAttribute("aria-pressed", Boolean(picture?.live));
    at("turn").setAttribute("aria-pressed", turning);
    at("live").hidden = !isLive();
    if (!running && picture && transform) {
        running = true;
        loop().catch((error) => tell(error.message));
    }
}

const isLive = () => turning || Boolean(picture?.live);

async function loop() {
    try {
        while (changed || isLive()) {
            const isNew = changed;
            changed = false;
            await new Promise(requestAnimationFrame);
            await showOne();
            if (isNew && !changed) {
                describe();
            }
            if (!isLive() && !changed) {
                await timeOne();
            }
        }
    } finally {
        running = false;
    }
}

async function showOne() {
    const used = transform;
    const angle = turning ? (performance.now() / 1000 / SECONDS_OF_A_TURN) * 2 * Math.PI : null;
    const pixels = greySquare(picture, at("picture"), used.told.side, known.luminance, angle);
    const shown = await used.scatter(pixels);
    if (used !== transform) {
        return;
    }
    result = shown;
    discs.forEach((disc) => disc.show(result.means));
    if (at("numbers").open) {
        showNumbers();
    }
    at("save").disabled = false;
    if (isLive()) {
        recent = [...recent, { when: performance.now(), taken: result.milliseconds }].slice(-RECENT);
        const span = recent.at(-1).when - recent[0].when;
        const mean = recent.reduce((sum, { taken }) => sum + taken, 0) / recent.length;
        showTimes(mean, span > 0 ? (1000 * (recent.length - 1)) / span : 0);
    }
}

async function timeOne() {
    const milliseconds = await transform.time(LONG_ENOUGH);
    if (!isLive() && !changed) {
        showTimes(milliseconds);
    }
}

function showTimes(milliseconds, rate = 0) {
    at("milliseconds").value = milliseconds;
    at("milliseconds").textContent = number(milliseconds);
    const possible = milliseconds > 0 ? Math.floor(1000 / milliseconds) : 0;
    at("possible").textContent = possible ? `, enough for ${possible} pictures per second` : "";
    at("rate").value = rate;
    at("rate").textContent = rate ? Math.round(rate) : "–";
}

// What screen readers are told; not of every live picture.
function describe() {
    const { side } = transform.told;
    const { name, width, height } = picture;
    const cut = width === height ? "" : ", of which the middle square is shown";
    const resized = Math.min(width, height) === side ? "" : `, resized to ${side} × ${side}`;
    at("status").textContent = `Shown: ${name}, ${width} × ${height} pixels${cut}${resized}.`;
    at("picture").setAttribute("aria-label", `${name}, ${side} × ${side} pixels in grey`);
    discs.forEach((disc) => disc.describe());
}

// Numbers

function fillTable(paths) {
    const rows = paths.map((path, channel) => {
        const row = document.createElement("tr");
        const head = document.createElement("th");
        head.scope = "row";
        head.textContent = channel;
        row.append(head);
        for (let i = 0; i < 5; i++) {
            row.insertCell().textContent = path[i] ?? "";
        }
        return row;
    });
    at("numbers").querySelector("tbody").replaceChildren(...rows);
}

function showNumbers() {
    const { rows } = at("numbers").querySelector("tbody");
    result?.means.forEach((mean, channel) => {
        rows[channel].lastChild.textContent = mean.toPrecision(7);
    });
}

function save() {
    const { channels, outHeight, outWidth } = transform.description;
    const link = document.createElement("a");
    link.download = `${transform.told.name}.npy`;
    link.href = URL.createObjectURL(npy(result.values, [channels, outHeight, outWidth]));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // browsers may begin later
}

// Controls

function connect() {
    at("file").addEventListener(
        "change",
        told(async ({ target }) => {
            const [chosen] = target.files;
            target.value = ""; // so that the same file may be chosen again
            if (chosen) {
                await openFile(chosen);
            }
        }),
    );
    at("camera").addEventListener("click", told(toggleCamera));
    at("turn").addEventListener("click", told(toggleTurning));
    at("sample").addEventListener("click", told(openSample));
    at("save").addEventListener("click", told(save));
    at("numbers").addEventListener("toggle", showNumbers);
    at("transform").addEventListener(
        "change",
        told(({ target }) => openTransform(target.value)),
    );
    const dropping = (on) => document.body.classList.toggle("dropping", on);
    document.addEventListener("dragover", (event) => {
        event.preventDefault();
        dropping(true);
    });
    document.addEventListener("dragleave", () => dropping(false));
    document.addEventListener(
        "drop",
        told(async (event) => {
            event.preventDefault();
            dropping(false);
            const [dropped] = event.dataTransfer.files;
            if (!dropped) {
                throw new Error("What was dropped is no file: drop a picture from a folder.");
            }
            await openFile(dropped);
        }),
    );
}

async function start() {
    if (typeof WebAssembly === "undefined") {
        throw new Error(
            "This browser has no WebAssembly, or it is switched off; all browsers since 2017 have it.",
        );
    }
    known = await (await file("transforms.json")).json();
    const options = known.transforms.map(({ name, bank, side, J }) => {
        return new Option(`${side} × ${side}, J = ${J}, bank ${bank}`, name);
    });
    at("transform").append(...options);
    connect();
    await Promise.all([openSample(), openTransform(known.transforms[0].name)]);
}

start().catch((error) => {
    at("status").textContent = "";
    tell(error.message);
});
