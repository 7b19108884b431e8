/* Runs everything a generated header promises; see README.md.
 * SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NPS_SELFTEST
#include "nps.h"
#include "second.h"

#define PIXELS ((size_t)NPS_HEIGHT * (size_t)NPS_WIDTH)
#define IMAGE_BYTES (PIXELS * sizeof(nps_pixel))
#define OUTPUT_BYTES ((size_t)NPS_OUTPUT_SIZE * sizeof(nps_coefficient))
#define CHANNEL_BYTES ((size_t)NPS_OUT_HEIGHT * (size_t)NPS_OUT_WIDTH * sizeof(nps_coefficient))
#define SCRATCH_BYTES ((size_t)NPS_SCRATCH_BYTES)
#define SELFTEST_BYTES ((size_t)NPS_SELFTEST_BYTES)
/* Before and behind what is written; a multiple of every alignment. */
#define GUARD ((size_t)64)

static int failures = 0;

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            failures++;                                                      \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);   \
        }                                                                    \
    } while (0)

#define CHECK_STATUS(call, expected)                                                \
    do {                                                                            \
        const int status_ = (call);                                                 \
        if (status_ != (expected)) {                                                \
            failures++;                                                             \
            printf("%s:%d: failed: %s is %d, not %s\n", __FILE__, __LINE__, #call,  \
                   status_, #expected);                                             \
        }                                                                           \
    } while (0)

/* ---- Memory ---- */

/* Exactly so many bytes, so that an address sanitizer sees the first one beyond. */
static unsigned char *bytes_of(size_t size)
{
    unsigned char *const bytes = (unsigned char *)malloc(size);
    if (bytes == NULL) {
        printf("no memory\n");
        exit(2);
    }
    return bytes;
}

/* A byte that depends on where it is, so that moved bytes are noticed too. */
static unsigned char pattern(size_t place)
{
    return (unsigned char)((place * 37U + 11U) & 0xFFU);
}

static void fill(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = pattern(i);
    }
}

/* Whether bytes [from, to) are as `fill` left them. */
static int untouched(const unsigned char *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (bytes[i] != pattern(i)) {
            return 0;
        }
    }
    return 1;
}

static nps_coefficient *as_output(unsigned char *bytes)
{
    return (nps_coefficient *)(void *)bytes;
}

/* ---- Images ---- */

typedef unsigned int (*picture)(unsigned int y, unsigned int x);

static uint32_t random_state = 1;

static uint32_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state >> 8;
}

static unsigned int black(unsigned int y, unsigned int x)
{
    (void)y;
    (void)x;
    return 0;
}

static unsigned int white(unsigned int y, unsigned int x)
{
    (void)y;
    (void)x;
    return 255;
}

static unsigned int checkerboard_1(unsigned int y, unsigned int x)
{
    return (y + x) % 2U * 255U;
}

static unsigned int checkerboard_2(unsigned int y, unsigned int x)
{
    return (y / 2U + x / 2U) % 2U * 255U;
}

static unsigned int checkerboard_4(unsigned int y, unsigned int x)
{
    return (y / 4U + x / 4U) % 2U * 255U;
}

static unsigned int rows_1(unsigned int y, unsigned int x)
{
    (void)x;
    return y % 2U * 255U;
}

static unsigned int rows_2(unsigned int y, unsigned int x)
{
    (void)x;
    return y / 2U % 2U * 255U;
}

static unsigned int columns_1(unsigned int y, unsigned int x)
{
    (void)y;
    return x % 2U * 255U;
}

static unsigned int columns_2(unsigned int y, unsigned int x)
{
    (void)y;
    return x / 2U % 2U * 255U;
}

static unsigned int diagonals(unsigned int y, unsigned int x)
{
    return (y + x) / 2U % 2U * 255U;
}

static unsigned int impulse(unsigned int y, unsigned int x)
{
    return y == NPS_HEIGHT / 2 && x == NPS_WIDTH / 2 ? 255 : 0;
}

static unsigned int hole(unsigned int y, unsigned int x)
{
    return 255U - impulse(y, x);
}

static unsigned int corner(unsigned int y, unsigned int x)
{
    return y == 0 && x == 0 ? 255 : 0;
}

static unsigned int edge(unsigned int y, unsigned int x)
{
    (void)y;
    return x < NPS_WIDTH / 2 ? 0 : 255;
}

static unsigned int noise(unsigned int y, unsigned int x)
{
    (void)y;
    (void)x;
    return random_number() % 256U;
}

static unsigned int binary_noise(unsigned int y, unsigned int x)
{
    (void)y;
    (void)x;
    return random_number() % 2U * 255U;
}

static const picture pictures[] = {
    black,   white, checkerboard_1, checkerboard_2, checkerboard_4, rows_1, rows_2, columns_1,
    columns_2, diagonals, impulse, hole, corner, edge, noise, binary_noise,
};
#define PICTURES (sizeof pictures / sizeof pictures[0])

static void draw(nps_pixel *image, picture of)
{
    for (unsigned int y = 0; y < NPS_HEIGHT; y++) {
        for (unsigned int x = 0; x < NPS_WIDTH; x++) {
            image[y * NPS_WIDTH + x] = (nps_pixel)of(y, x);
        }
    }
}

/* ---- Sinks ---- */

typedef struct {
    int calls;
    int stop_after; /* returns `answer` at this call; 0: never */
    int answer;
    int wrong_channels;
    int seen[NPS_CHANNELS];
    unsigned char *output;
} sink_log;

static int logging_sink(void *context, int channel, const nps_coefficient *values)
{
    sink_log *const log = (sink_log *)context;
    log->calls++;
    if (channel < 0 || channel >= NPS_CHANNELS) {
        log->wrong_channels++;
    } else {
        log->seen[channel]++;
        if (log->output != NULL) {
            memcpy(log->output + (size_t)channel * CHANNEL_BYTES, values, CHANNEL_BYTES);
        }
    }
    return log->calls == log->stop_after ? log->answer : 0;
}

static sink_log new_log(int stop_after, int answer, unsigned char *output)
{
    sink_log log;
    memset(&log, 0, sizeof log);
    log.stop_after = stop_after;
    log.answer = answer;
    log.output = output;
    return log;
}

/* ---- Tests ---- */

static void test_selftest(void)
{
    unsigned char *const scratch = bytes_of(SELFTEST_BYTES);
    fill(scratch, SELFTEST_BYTES);
    CHECK_STATUS(nps_selftest(NULL, SELFTEST_BYTES), NPS_ERROR_NULL);
    CHECK_STATUS(nps_selftest(scratch, SELFTEST_BYTES - 1), NPS_ERROR_SCRATCH);
    CHECK_STATUS(nps_selftest(scratch, 0), NPS_ERROR_SCRATCH);
    CHECK_STATUS(nps_selftest(scratch + 1, SELFTEST_BYTES), NPS_ERROR_ALIGNMENT);
    CHECK_STATUS(nps_selftest(scratch + 2, SELFTEST_BYTES), NPS_ERROR_ALIGNMENT);
    CHECK(untouched(scratch, 0, SELFTEST_BYTES));
    CHECK_STATUS(nps_selftest(scratch, SELFTEST_BYTES), NPS_OK);
    CHECK_STATUS(nps_selftest(scratch, SELFTEST_BYTES), NPS_OK);
    free(scratch);
}

static void test_errors_touch_nothing(const nps_pixel *image)
{
    /* One more byte each, for misaligned addresses. */
    unsigned char *const output_bytes = bytes_of(OUTPUT_BYTES + 1);
    unsigned char *const scratch = bytes_of(SCRATCH_BYTES + 4);
    nps_coefficient *const output = as_output(output_bytes);
    nps_coefficient *const odd_output = as_output(output_bytes + 1);
    sink_log log = new_log(0, 0, NULL);
    fill(output_bytes, OUTPUT_BYTES + 1);
    fill(scratch, SCRATCH_BYTES + 4);

    CHECK_STATUS(nps_scatter(NULL, output, scratch, SCRATCH_BYTES), NPS_ERROR_NULL);
    CHECK_STATUS(nps_scatter(image, NULL, scratch, SCRATCH_BYTES), NPS_ERROR_NULL);
    CHECK_STATUS(nps_scatter(image, output, NULL, SCRATCH_BYTES), NPS_ERROR_NULL);
    CHECK_STATUS(nps_scatter(image, output, scratch, SCRATCH_BYTES - 1), NPS_ERROR_SCRATCH);
    CHECK_STATUS(nps_scatter(image, output, scratch, 0), NPS_ERROR_SCRATCH);
    CHECK_STATUS(nps_scatter(image, odd_output, scratch, SCRATCH_BYTES), NPS_ERROR_ALIGNMENT);
    for (size_t i = 1; i < NPS_SCRATCH_ALIGN; i++) {
        CHECK_STATUS(nps_scatter(image, output, scratch + i, SCRATCH_BYTES), NPS_ERROR_ALIGNMENT);
        CHECK_STATUS(nps_scatter_stream(image, logging_sink, &log, scratch + i, SCRATCH_BYTES),
                     NPS_ERROR_ALIGNMENT);
    }

    CHECK_STATUS(nps_scatter_stream(NULL, logging_sink, &log, scratch, SCRATCH_BYTES),
                 NPS_ERROR_NULL);
    CHECK_STATUS(nps_scatter_stream(image, NULL, &log, scratch, SCRATCH_BYTES), NPS_ERROR_NULL);
    CHECK_STATUS(nps_scatter_stream(image, logging_sink, &log, NULL, SCRATCH_BYTES),
                 NPS_ERROR_NULL);
    CHECK_STATUS(nps_scatter_stream(image, logging_sink, &log, scratch, SCRATCH_BYTES - 1),
                 NPS_ERROR_SCRATCH);
#if !NPS_Q15
    {
        unsigned char *const image_bytes = bytes_of(IMAGE_BYTES + 1);
        const nps_pixel *const odd_image = (const nps_pixel *)(const void *)(image_bytes + 1);
        CHECK_STATUS(nps_scatter(odd_image, output, scratch, SCRATCH_BYTES), NPS_ERROR_ALIGNMENT);
        CHECK_STATUS(nps_scatter_stream(odd_image, logging_sink, &log, scratch, SCRATCH_BYTES),
                     NPS_ERROR_ALIGNMENT);
        free(image_bytes);
    }
#endif
    CHECK(log.calls == 0);
    CHECK(untouched(output_bytes, 0, OUTPUT_BYTES + 1));
    CHECK(untouched(scratch, 0, SCRATCH_BYTES + 4));
    free(output_bytes);
    free(scratch);
}

static void test_writes_stay_inside(const nps_pixel *image)
{
    unsigned char *const output = bytes_of(OUTPUT_BYTES + 2 * GUARD);
    unsigned char *const scratch = bytes_of(SCRATCH_BYTES + 2 * GUARD);
    unsigned char *const before = bytes_of(IMAGE_BYTES);
    memcpy(before, image, IMAGE_BYTES);
    fill(output, OUTPUT_BYTES + 2 * GUARD);
    fill(scratch, SCRATCH_BYTES + 2 * GUARD);
    CHECK_STATUS(nps_scatter(image, as_output(output + GUARD), scratch + GUARD, SCRATCH_BYTES),
                 NPS_OK);
    CHECK(untouched(output, 0, GUARD));
    CHECK(untouched(output, GUARD + OUTPUT_BYTES, OUTPUT_BYTES + 2 * GUARD));
    CHECK(untouched(scratch, 0, GUARD));
    CHECK(untouched(scratch, GUARD + SCRATCH_BYTES, SCRATCH_BYTES + 2 * GUARD));
    CHECK(!untouched(output, GUARD, GUARD + OUTPUT_BYTES));
    CHECK(memcmp(before, image, IMAGE_BYTES) == 0);
    free(output);
    free(scratch);
    free(before);
}

static void test_sinks_that_stop(const nps_pixel *image)
{
    static const int after[] = {1, 2, NPS_CHANNELS / 2, NPS_CHANNELS - 1, NPS_CHANNELS};
    unsigned char *const scratch = bytes_of(SCRATCH_BYTES);
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        sink_log log = new_log(after[i], i % 2U == 0 ? 1 : -7, NULL);
        CHECK_STATUS(nps_scatter_stream(image, logging_sink, &log, scratch, SCRATCH_BYTES),
                     NPS_ERROR_STOPPED);
        CHECK(log.calls == after[i]);
        CHECK(log.wrong_channels == 0);
    }
    free(scratch);
}

/* Every way to the same image's coefficients gives the same bits. */
static void test_one_result(const nps_pixel *image)
{
    static const int contents[] = {0x00, 0xFF, 0x7F, 0x80, 0xA5};
    unsigned char *const expected = bytes_of(OUTPUT_BYTES);
    unsigned char *const output = bytes_of(OUTPUT_BYTES);
    unsigned char *const scratch = bytes_of(SCRATCH_BYTES);
    sink_log log = new_log(0, 0, output);
    fill(scratch, SCRATCH_BYTES);
    CHECK_STATUS(nps_scatter(image, as_output(expected), scratch, SCRATCH_BYTES), NPS_OK);

    memset(output, 0x55, OUTPUT_BYTES);
    CHECK_STATUS(nps_scatter(image, as_output(output), scratch, SCRATCH_BYTES), NPS_OK);
    CHECK(memcmp(output, expected, OUTPUT_BYTES) == 0);

    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        memset(scratch, contents[i], SCRATCH_BYTES);
        memset(output, contents[i] ^ 0x33, OUTPUT_BYTES);
        CHECK_STATUS(nps_scatter(image, as_output(output), scratch, SCRATCH_BYTES), NPS_OK);
        CHECK(memcmp(output, expected, OUTPUT_BYTES) == 0);
    }

    memset(output, 0x55, OUTPUT_BYTES);
    CHECK_STATUS(nps_scatter_stream(image, logging_sink, &log, scratch, SCRATCH_BYTES), NPS_OK);
    CHECK(log.calls == NPS_CHANNELS);
    CHECK(log.wrong_channels == 0);
    for (int channel = 0; channel < NPS_CHANNELS; channel++) {
        CHECK(log.seen[channel] == 1);
    }
    CHECK(memcmp(output, expected, OUTPUT_BYTES) == 0);

    memset(output, 0x55, OUTPUT_BYTES);
    CHECK_STATUS(second_scatter(image, output, scratch, SCRATCH_BYTES), NPS_OK);
    CHECK(memcmp(output, expected, OUTPUT_BYTES) == 0);
    free(expected);
    free(output);
    free(scratch);
}

/* The first order of no image is negative, nor the second; both of the black one are zero. */
static void test_signs(const nps_pixel *image, int is_black)
{
    unsigned char *const bytes = bytes_of(OUTPUT_BYTES);
    unsigned char *const scratch = bytes_of(SCRATCH_BYTES);
    const nps_coefficient *const output = as_output(bytes);
    const int32_t size = (int32_t)NPS_OUT_HEIGHT * NPS_OUT_WIDTH;
    int32_t other_than_zero = 0;
    CHECK_STATUS(nps_scatter(image, as_output(bytes), scratch, SCRATCH_BYTES), NPS_OK);
    for (int32_t i = 0; i < NPS_CHANNELS * size; i++) {
        other_than_zero += output[i] < 0 || output[i] > 0;
    }
    CHECK((other_than_zero == 0) == (is_black != 0));
    free(bytes);
    free(scratch);
}

static void test_tables(void)
{
    for (int channel = 0; channel < NPS_CHANNELS; channel++) {
        const float unit = nps_value(channel, 1);
        CHECK(unit > 0.0F);
        CHECK(!(second_unit(channel) < unit) && !(second_unit(channel) > unit));
        for (int i = 0; i < 4; i++) {
            CHECK(nps_paths[channel][i] >= -1);
            CHECK(nps_paths[channel][i] < (i % 2 == 0 ? NPS_J : NPS_L));
        }
    }
    CHECK(NPS_SCRATCH_BYTES > 0 && NPS_SCRATCH_BYTES % NPS_SCRATCH_ALIGN == 0);
}

int main(void)
{
    nps_pixel *const image = (nps_pixel *)(void *)bytes_of(IMAGE_BYTES);
    printf("%s\n", NPS_PROVENANCE);
    test_selftest();
    test_tables();
    draw(image, noise);
    test_errors_touch_nothing(image);
    test_writes_stay_inside(image);
    test_sinks_that_stop(image);
    for (size_t i = 0; i < PICTURES; i++) {
        draw(image, pictures[i]);
        test_one_result(image);
        test_signs(image, pictures[i] == black);
    }
    free(image);
    printf("%s\n", failures == 0 ? "all right" : "FAILED");
    return failures == 0 ? 0 : 1;
}
