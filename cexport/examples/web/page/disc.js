// The disc display of the coefficients of one order. Where everything lies was computed by
// npscatter.plots, as for Python's own figures: angles in degrees from the right, anticlockwise.
//
// SPDX-License-Identifier: BSD-3-Clause

const RADIUS = 100;

export class Disc {
    // figure: where it is drawn, before the caption. geometry: of transforms.json. paths: of every
    // channel [j1, theta1, j2, theta2], as far as it has them.
    constructor(figure, order, geometry, paths, colors) {
        this.order = order;
        this.paths = paths;
        this.colors = colors;
        this.channels = [...new Set(geometry.wedges.map(([channel]) => channel))];
        this.figure = figure;
        figure.querySelectorAll(":scope > :not(figcaption)").forEach((old) => old.remove());
        this.svg = this.drawn(geometry);
        figure.append(this.svg, this.colorBar(), ...this.chooser());
        this.means = null;
    }

    drawn(geometry) {
        const svg = element("svg", { viewBox: "-130 -116 260 250", role: "img" });
        svg.dataset.order = this.order;
        svg.append(element("circle", { r: RADIUS, class: "middle" }));
        const shapes = new Map(this.channels.map((channel) => [channel, ""]));
        for (const [channel, outer, start, end] of geometry.wedges) {
            const shape = wedge(outer - geometry.width, outer, start, end);
            shapes.set(channel, shapes.get(channel) + shape);
        }
        this.wedges = new Map();
        for (const [channel, d] of shapes) {
            const path = element("path", { d, class: "wedge" });
            path.dataset.channel = channel;
            path.addEventListener("pointerenter", () => this.choose(channel));
            this.wedges.set(channel, path);
            svg.append(path);
        }
        for (const radius of geometry.circles) {
            svg.append(element("circle", { r: radius * RADIUS, class: "outline" }));
        }
        const hole = 1 - geometry.width * geometry.rings.length;
        for (const degrees of geometry.spokes) {
            const d = `M${point(hole, degrees)}L${point(1, degrees)}`;
            svg.append(element("path", { d, class: "outline" }));
        }
        svg.append(...labels(geometry, this.order));
        this.marks = ["dark", "light"].map((shade) => element("path", { class: `chosen ${shade}` }));
        svg.append(...this.marks);
        return svg;
    }

    colorBar() {
        const bar = document.createElement("div");
        bar.className = "bar";
        const scale = document.createElement("i");
        const stops = this.colors.filter((_, i) => i % 15 === 0);
        scale.style.background = `linear-gradient(to right, ${stops})`;
        this.end = document.createElement("span");
        bar.append("0", scale, this.end);
        return bar;
    }

    // A native control, so that keyboards, fingers and screen readers reach every sector.
    chooser() {
        const label = document.createElement("label");
        label.textContent = "Read one sector";
        this.range = document.createElement("input");
        Object.assign(this.range, { type: "range", min: 0, max: this.channels.length - 1 });
        this.range.value = 0;
        this.range.setAttribute("aria-label", `Sector of order ${this.order}`);
        this.range.addEventListener("input", () => this.choose(this.channels[this.range.value]));
        label.append(this.range);
        this.reading = document.createElement("p"); // for the eye: the range tells it too
        this.reading.className = "reading";
        this.reading.textContent = "Move the slider, or point at a sector.";
        return [label, this.reading];
    }

    choose(channel) {
        this.chosen = channel;
        this.range.value = this.channels.indexOf(channel);
        const d = this.wedges.get(channel).getAttribute("d");
        this.marks.forEach((mark) => mark.setAttribute("d", d));
        this.read();
    }

    read() {
        if (this.chosen !== undefined && this.means) {
            const text = `${pathInWords(this.paths[this.chosen])}: ${number(this.means[this.chosen])}`;
            this.reading.textContent = text;
            this.range.setAttribute("aria-valuetext", text);
        }
    }

    show(means) {
        this.means = means;
        const values = this.channels.map((channel) => means[channel]);
        const largest = Math.max(...values) || 1;
        const last = this.colors.length - 1;
        this.channels.forEach((channel, i) => {
            const place = Math.round((last * Math.max(values[i], 0)) / largest);
            this.wedges.get(channel).setAttribute("color", this.colors[place]);
        });
        this.end.textContent = number(largest);
        this.read();
    }

    // In words, for those who do not see it.
    describe() {
        const largest = this.channels.reduce((a, b) => (this.means[b] > this.means[a] ? b : a));
        const label = `Disc of the means of order ${this.order}, largest at `;
        const text = `${pathInWords(this.paths[largest])}: ${number(this.means[largest])}`;
        this.svg.setAttribute("aria-label", label + text);
    }
}

export function pathInWords([j1, theta1, j2, theta2]) {
    return j2 === undefined
        ? `j = ${j1}, θ = ${theta1}`
        : `j1 = ${j1}, θ1 = ${theta1}, j2 = ${j2}, θ2 = ${theta2}`;
}

export function number(value) {
    return value.toPrecision(3);
}

function element(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
}

function point(radius, degrees) {
    const radians = (degrees * Math.PI) / 180;
    const [x, y] = [radius * RADIUS * Math.cos(radians), -radius * RADIUS * Math.sin(radians)];
    return `${x.toFixed(3)} ${y.toFixed(3)}`;
}

function wedge(inner, outer, start, end) {
    const arc = (radius, sweep) => `A${radius * RADIUS} ${radius * RADIUS} 0 0 ${sweep} `;
    const there = `M${point(outer, start)}${arc(outer, 0)}${point(outer, end)}`;
    return `${there}L${point(inner, end)}${arc(inner, 1)}${point(inner, start)}Z`;
}

function labels({ directions, rings, width }, order) {
    const text = (content, x, y, anchor) => {
        const made = element("text", { x, y, "text-anchor": anchor, "aria-hidden": true });
        made.textContent = content;
        return made;
    };
    const around = directions.map((degrees, theta) => {
        const [x, y] = point(1.05, degrees).split(" ").map(Number);
        const below = y > 0.99 * RADIUS ? 6 : 3;
        return text(`θ${order === 1 ? "" : "₁"}=${theta}`, x, y + below, x > 10 ? "start" : "middle");
    });
    const along = rings.map(([j1, j2], n) => {
        const x = RADIUS * (1 - width * (n + 0.5));
        return text(order === 1 ? j1 : `${j1}, ${j2}`, x, 130, "middle");
    });
    return [...around, ...along, text(order === 1 ? "rings: j" : "rings: j₁, j₂", -125, 130, "start")];
}
