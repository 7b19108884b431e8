/* The transform as a WebAssembly module without imports: no libc, no runtime, no JavaScript glue.
 *
 * The host writes pixels at image(), calls scatter() and reads coefficients at output(). All
 * memory is static; it never grows, so a view of it stays valid. build.sh compiles this file.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "nps.h"

#define EXPORT(name) __attribute__((export_name(#name)))
#define NUMBER(name, value) \
    EXPORT(name) int32_t export_##name(void) { return (int32_t)(value); }
#define ADDRESS(name, array) NUMBER(name, (uintptr_t)(array))

#ifdef NPS_SELFTEST
#define MEMORY_BYTES NPS_SELFTEST_BYTES
#else
#define MEMORY_BYTES NPS_SCRATCH_BYTES
#endif

static nps_pixel image[NPS_HEIGHT * NPS_WIDTH];
static nps_coefficient output[NPS_OUTPUT_SIZE];
static union {
    uint32_t align;
    unsigned char bytes[MEMORY_BYTES];
} scratch;

/* What to read and write, as addresses in the exported memory. */
ADDRESS(image, image)   /* height() rows of width() pixels: uint8 if q15(), else float32 */
ADDRESS(output, output) /* channels() maps: int16 if q15(), else float32 */
ADDRESS(scratch, scratch.bytes)
ADDRESS(paths, nps_paths) /* of every channel: j1, theta1, j2, theta2 as int8, -1 for none */
ADDRESS(provenance, NPS_PROVENANCE) /* text that ends with a zero byte */
#if NPS_Q15
ADDRESS(exponents, nps_exponents) /* int8: coefficient q of channel c is q / 2^exponents[c] */
#else
NUMBER(exponents, 0)
#endif

NUMBER(q15, NPS_Q15)
NUMBER(J, NPS_J)
NUMBER(L, NPS_L)
NUMBER(height, NPS_HEIGHT)
NUMBER(width, NPS_WIDTH)
NUMBER(channels, NPS_CHANNELS)
NUMBER(out_height, NPS_OUT_HEIGHT)
NUMBER(out_width, NPS_OUT_WIDTH)
NUMBER(scratch_bytes, sizeof scratch)

/* From image() to output(); 0, or a negative nps_error. */
EXPORT(scatter) int32_t export_scatter(void)
{
    return nps_scatter(image, output, scratch.bytes, sizeof scratch);
}

#ifdef NPS_SELFTEST
/* 0, a negative nps_error, or 1 + the first channel that differs from the Python library's. */
EXPORT(selftest) int32_t export_selftest(void)
{
    return nps_selftest(scratch.bytes, sizeof scratch);
}
#endif
