// Where pictures come from, and how they become pixels.
//
// SPDX-License-Identifier: BSD-3-Clause

// A picture: { name, image, width, height, live, stop() }, where image may be drawn on a canvas.

export async function pictureOf(blob, name) {
    let image;
    try {
        image = await createImageBitmap(blob);
    } catch {
        throw new Error(
            `${name} is no picture that this browser can read, or it is broken or too large. ` +
                "PNG, JPEG and WebP are read everywhere.",
        );
    }
    const { width, height } = image;
    return { name, image, width, height, live: false, stop: () => image.close() };
}

const REFUSALS = {
    NotAllowedError: "Its use was not allowed: allow it in the browser's settings of this page.",
    NotFoundError: "There is none.",
    NotReadableError: "Another program uses it.",
};

// ended: called if the camera goes away.
export async function pictureOfCamera(ended) {
    if (!navigator.mediaDevices?.getUserMedia) {
        throw new Error(
            "The camera is out of reach: browsers give it only to pages of https:// or localhost.",
        );
    }
    let stream;
    try {
        const video = { facingMode: "environment" };
        stream = await navigator.mediaDevices.getUserMedia({ video });
    } catch (error) {
        const reason = REFUSALS[error.name] ?? `${error.message}.`;
        throw new Error(`The camera cannot be used. ${reason} A picture may be chosen instead.`);
    }
    const stop = () => stream.getTracks().forEach((track) => track.stop());
    const image = document.createElement("video");
    Object.assign(image, { muted: true, playsInline: true, srcObject: stream });
    try {
        await image.play();
    } catch (error) {
        stop();
        throw new Error(`The camera shows nothing: ${error.message}.`);
    }
    stream.getVideoTracks()[0].addEventListener("ended", ended);
    // A phone that is turned changes the sides.
    return {
        name: "the camera",
        image,
        get width() {
            return image.videoWidth;
        },
        get height() {
            return image.videoHeight;
        },
        live: true,
        stop,
    };
}

// The middle square of a picture on the canvas, `side` pixels wide, in grey; returns its pixels
// from 0 to 1, row after row. turned: radians by which it is turned, the parts that stay within.
export function greySquare(picture, canvas, side, luminance, turned = null) {
    if (canvas.width !== side || canvas.height !== side) {
        canvas.width = canvas.height = side;
    }
    const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "white"; // shows through what is transparent
    context.fillRect(0, 0, side, side);
    context.imageSmoothingQuality = "high";
    if (turned !== null) {
        context.translate(side / 2, side / 2);
        context.rotate(turned);
        context.scale(Math.SQRT2, Math.SQRT2);
        context.translate(-side / 2, -side / 2);
    }
    const square = Math.min(picture.width, picture.height);
    const [left, top] = [(picture.width - square) / 2, (picture.height - square) / 2].map(Math.floor);
    context.drawImage(picture.image, left, top, square, square, 0, 0, side, side);
    const data = context.getImageData(0, 0, side, side);
    const [red, green, blue] = luminance;
    const grey = new Float32Array(side * side);
    for (let i = 0, k = 0; i < grey.length; i++, k += 4) {
        const { data: rgba } = data;
        grey[i] = (red * rgba[k] + green * rgba[k + 1] + blue * rgba[k + 2]) / 255;
        rgba[k] = rgba[k + 1] = rgba[k + 2] = Math.round(255 * grey[i]);
    }
    context.putImageData(data, 0, 0);
    return grey;
}
