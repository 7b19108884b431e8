"""
Into ONNX, and into a browser
=============================

The whole transform as one ONNX model: written here, run here in ONNX Runtime, and the page that
runs the same file in a browser.

Needs matplotlib, onnx, onnxruntime and scikit-image besides npscatter.
"""

# %%
# Write it
# --------
# :func:`npscatter.onnx.export` takes any transform. The graph holds its weights, so that neither
# npscatter nor a bank is needed where it runs.

import json
import tempfile
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnxruntime
from skimage import data

from npscatter import Scattering2D
from npscatter.features import relative_errors
from npscatter.onnx import export

folder = Path(tempfile.mkdtemp())
S = Scattering2D(J=3, shape=(128, 128))
export(S, folder / "scattering.onnx")
print(f"{(folder / 'scattering.onnx').stat().st_size / 1024:.0f} KiB")

# %%
# It is made of standard operators, of operator set 13:

operators = Counter(node.op_type for node in onnx.load(folder / "scattering.onnx").graph.node)
print(", ".join(f"{count} {name}" for name, count in operators.most_common(8)), "...")

# %%
# Run it
# ------
# A batch of any length goes in, as ``images``.

pictures = {"camera": data.camera(), "coins": data.coins(), "brick": data.brick()}
images = np.stack([picture[:256:2, 128:384:2] for picture in pictures.values()])
images = (images / 255).astype(np.float32)

session = onnxruntime.InferenceSession(folder / "scattering.onnx")
[coefficients] = session.run(None, {"images": images})
wanted = S(images)
print(coefficients.shape, coefficients.dtype)
for order, error in relative_errors(coefficients, wanted, S.meta()["order"]).items():
    print(f"{order} differs from Scattering2D's by {error:.1e} of its norm")

# %%
# The metadata say what the channels are. Here first-order maps from the model, and where they
# differ: both round in float32, in another order.

known = session.get_modelmeta().custom_metadata_map
j, theta = json.loads(known["j"]), json.loads(known["theta"])
channels = [j.index([0]), j.index([1]), j.index([2])]
fig, axes = plt.subplots(3, 5, figsize=(9, 5.6), layout="constrained")
for row, name, image, found, exact in zip(
    axes, pictures, images, coefficients, wanted, strict=True
):
    row[0].imshow(image, cmap="gray")
    row[0].set_ylabel(name, fontsize=13)
    for ax, channel in zip(row[1:], channels, strict=False):
        ax.imshow(found[channel])
        if name == "camera":
            ax.set_title(f"j={j[channel][0]}, theta={theta[channel][0]}", fontsize=13)
    difference = np.abs(found[channels] - exact[channels]).max(0)
    drawn = row[-1].imshow(difference, cmap="magma", vmin=0, vmax=1e-7)
axes[0, -1].set_title("difference", fontsize=13)
for ax in axes.flat:
    ax.set_xticks([])
    ax.set_yticks([])
bar = fig.colorbar(drawn, ax=axes[:, -1].tolist(), ticks=[0, 5e-8, 1e-7])
bar.ax.tick_params(labelsize=11)

# %%
# In a browser
# ------------
# onnxruntime-web reads the same file. This page takes a picture, squeezes it into 128 x 128
# grey levels in [0, 1], and draws a map for each channel of the first order, a row for each scale.

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Scattering</title>
<input type="file" accept="image/*"> <span></span>
<p><canvas width="128" height="128"></canvas></p>
<div></div>
<script type="module">
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create("scattering.onnx");
const context = document.querySelector("canvas").getContext("2d");

document.querySelector("input").onchange = async (event) => {
    const picture = await createImageBitmap(event.target.files[0]);
    context.drawImage(picture, 0, 0, 128, 128);
    const { data } = context.getImageData(0, 0, 128, 128);
    const grey = new Float32Array(128 * 128);
    for (let i = 0; i < grey.length; i++) {
        const [red, green, blue] = data.subarray(4 * i);
        grey[i] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    }
    const images = new ort.Tensor("float32", grey, [1, 128, 128]);
    const started = performance.now();
    const { coefficients } = await session.run({ images });
    const [, channels, height, width] = coefficients.dims;
    const took = Math.round(performance.now() - started);
    document.querySelector("span").textContent = `${channels} channels, ${took} ms`;
    draw(coefficients.data, height, width);
};

// Channel 0 is the mean brightness; the 24 after it are the first order.
function draw(values, height, width) {
    const maps = document.querySelector("div");
    maps.replaceChildren();
    for (let channel = 1; channel <= 24; channel++) {
        const map = values.subarray(channel * height * width, (channel + 1) * height * width);
        const largest = Math.max(...map, 1e-9);
        const pixels = new ImageData(width, height);
        map.forEach((value, i) =>
            pixels.data.set([0, (255 * value) / largest, (128 * value) / largest, 255], 4 * i),
        );
        const canvas = Object.assign(document.createElement("canvas"), { width, height });
        canvas.style = "width: 12.5%; image-rendering: pixelated";
        canvas.getContext("2d").putImageData(pixels, 0, 0);
        maps.append(canvas);
    }
}
</script>
"""
(folder / "index.html").write_text(PAGE, encoding="utf-8")
print(f"in {folder}:", *sorted(path.name for path in folder.iterdir()))

# %%
# Both files in one folder, the runtime beside them, and any server of static files:
#
# .. code-block:: sh
#
#    cd folder
#    npm install onnxruntime-web@1.30.0
#    python -m http.server --bind 127.0.0.1
#
# Then open ``http://localhost:8000``. Nothing is fetched from another server, and the picture stays
# in the browser.
#
# Faster, and smaller
# -------------------
# A runtime multiplies by every tap and stores every map. The generated C, compiled to WebAssembly,
# does as the library does, needs no runtime, and is the better choice where only the web is aimed
# at: ``cexport/examples/web`` of the source repository builds a page of it that shows the disc of
# a file or of the camera, live. It is described in :doc:`/c-guide` (`the page
# <../../c-guide.html#a-page-in-the-browser>`__), with its times; those of ONNX Runtime, and all
# that the model has and lacks, in :doc:`/onnx`.

errors = relative_errors(coefficients, wanted, S.meta()["order"])
assert max(errors.values()) < 1e-5
assert known["bank"] == "accurate" and (j[-1], theta[-1]) == ([1, 2], [7, 7])
assert [path.order for path in S.plan.paths].count(1) == 24
