"""A generated header, compiled into a Python module."""

import importlib.util

import numpy as np
from cffi import FFI

DECLARATIONS = """
#define NPS_CHANNELS ...
#define NPS_SCRATCH_BYTES ...
#define NPS_SELFTEST_BYTES ...
extern const int8_t nps_paths[...][4];
{exponents}
int nps_scatter(const {pixel} *image, {coefficient} *output, void *scratch, size_t scratch_bytes);
float nps_value(int channel, {coefficient} coefficient);
int nps_selftest(void *scratch, size_t scratch_bytes);
"""
CLASSIFIER = """
#define NPS_SCORES ...
int nps_classify(const {pixel} *image, {score} *scores, void *scratch, size_t scratch_bytes);
"""


class CompiledHeader:
    """A header, compiled into a Python module."""

    def __init__(self, text, dtype, folder, name, flags=("-O2",)):
        q15 = dtype == "q15"
        self.pixel, self.coefficient = ("uint8_t", "int16_t") if q15 else ("float", "float")
        self.score = "int32_t" if q15 else "float"
        self.dtype = np.dtype(np.int16 if q15 else np.float32)
        self.score_dtype = np.dtype(np.int32 if q15 else np.float32)
        (folder / "nps.h").write_text(text, encoding="ascii")
        ffi = FFI()
        declarations = DECLARATIONS + (CLASSIFIER if "nps_classify" in text else "")
        ffi.cdef(
            declarations.format(
                pixel=self.pixel,
                coefficient=self.coefficient,
                score=self.score,
                exponents="extern const int8_t nps_exponents[...];" if q15 else "",
            )
        )
        ffi.set_source(
            name,
            '#define NPS_SELFTEST\n#include "nps.h"\n',
            include_dirs=[str(folder)],
            extra_compile_args=list(flags),
        )
        specification = importlib.util.spec_from_file_location(name, ffi.compile(str(folder)))
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        self.ffi, self.lib = module.ffi, module.lib

    @property
    def paths(self):
        """(j1, theta1, j2, theta2) of every channel."""
        return np.array([list(path) for path in self.lib.nps_paths])

    def scratch(self, size):
        return self.ffi.new("uint32_t[]", -(-size // 4)), size

    def __call__(self, images, output_shape):
        """Return the coefficients of every image of a batch."""
        images = np.ascontiguousarray(images)
        output = np.empty((len(images), self.lib.NPS_CHANNELS, *output_shape), self.dtype)
        scratch = self.scratch(self.lib.NPS_SCRATCH_BYTES)
        for image, coefficients in zip(images, output, strict=True):
            status = self.lib.nps_scatter(
                self.ffi.from_buffer(f"{self.pixel}[]", image),
                self.ffi.from_buffer(f"{self.coefficient}[]", coefficients),
                *scratch,
            )
            assert status == 0
        return output

    def classify(self, images):
        """Return the number of every image's class, and its scores."""
        images = np.ascontiguousarray(images)
        scores = np.empty((len(images), self.lib.NPS_SCORES), self.score_dtype)
        scratch = self.scratch(self.lib.NPS_SCRATCH_BYTES)
        numbers = [
            self.lib.nps_classify(
                self.ffi.from_buffer(f"{self.pixel}[]", image),
                self.ffi.from_buffer(f"{self.score}[]", row),
                *scratch,
            )
            for image, row in zip(images, scores, strict=True)
        ]
        return numbers, scores

    def selftest(self):
        return self.lib.nps_selftest(*self.scratch(self.lib.NPS_SELFTEST_BYTES))
