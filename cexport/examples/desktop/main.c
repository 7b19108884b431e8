/* Scattering coefficients of a PGM picture, as CSV.
 *
 *     scatter PICTURE.pgm          one line per channel: mean and energy of its map
 *     scatter --all PICTURE.pgm    one line per coefficient
 *     scatter --selftest           compares the header with the Python library
 *
 * The picture is binary (P5), has 8 bits per pixel (maxval 255), and any size from the header's
 * upwards; of a larger one the centre is taken, which is said on standard error. Pixels are numbers from 0 to 255 for float and Q15 headers alike,
 * so the coefficients of both have the same units.
 *
 * Exit codes: 0 done, 1 a picture that cannot be used, or a self-test or output that failed,
 * 2 wrong usage.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NPS_SELFTEST
#include "nps.h"

#define MAP_SIZE (NPS_OUT_HEIGHT * NPS_OUT_WIDTH)
#define LARGEST_SIDE 65535U

/* Static, so that the stack stays small whatever the size of the image. */
static nps_pixel image[NPS_HEIGHT * NPS_WIDTH];
static nps_coefficient coefficients[NPS_OUTPUT_SIZE];
/* The self-test needs more than the transform. */
static union {
    uint32_t align;
    unsigned char bytes[NPS_SELFTEST_BYTES];
} scratch;

static int usage(FILE *stream)
{
    fprintf(stream, "usage: scatter [--all] PICTURE.pgm\n       scatter --selftest\n");
    return 2;
}

static int refuse(const char *path, const char *reason)
{
    fprintf(stderr, "scatter: %s: %s\n", path, reason);
    return 1;
}

static const char *explain(int status)
{
    switch (status) {
    case NPS_ERROR_NULL:
        return "a pointer is NULL";
    case NPS_ERROR_SCRATCH:
        return "the scratch memory is too small";
    case NPS_ERROR_ALIGNMENT:
        return "a pointer is not aligned";
    default:
        return "unknown error";
    }
}

/* ---- The picture ---------------------------------------------------------------------------- */

/* The next character of the head, comments left out. */
static int head_character(FILE *file)
{
    int c = getc(file);
    if (c == '#') {
        while (c != '\n' && c != '\r' && c != EOF) {
            c = getc(file);
        }
    }
    return c;
}

static int is_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A number of the head, with the one white-space character that ends it; 0 if there is none. */
static uint32_t head_number(FILE *file)
{
    uint32_t number = 0;
    int c = head_character(file);
    while (is_space(c)) {
        c = head_character(file);
    }
    for (; c >= '0' && c <= '9'; c = head_character(file)) {
        number = 10U * number + (uint32_t)(c - '0');
        if (number > LARGEST_SIDE) {
            return 0;
        }
    }
    return is_space(c) ? number : 0;
}

/* Reads `count` bytes and forgets them; 0 if there are fewer. */
static int skip(FILE *file, uint64_t count)
{
    unsigned char bytes[4096];
    while (count > 0) {
        const size_t part = count < sizeof bytes ? (size_t)count : sizeof bytes;
        if (fread(bytes, 1, part, file) != part) {
            return 0;
        }
        count -= part;
    }
    return 1;
}

/* The rows and columns of the image from row `top` and column `left`; 0 if the file is too short. */
static int read_pixels(FILE *file, uint32_t height, uint32_t width, uint32_t top, uint32_t left)
{
    unsigned char row[NPS_WIDTH];
    if (!skip(file, (uint64_t)top * width)) {
        return 0;
    }
    for (uint32_t y = 0; y < NPS_HEIGHT; y++) {
        if (!skip(file, left) || fread(row, 1, sizeof row, file) != sizeof row ||
            !skip(file, width - left - NPS_WIDTH)) {
            return 0;
        }
        for (uint32_t x = 0; x < NPS_WIDTH; x++) {
            image[y * NPS_WIDTH + x] = row[x]; /* uint8_t to uint8_t or to float: exact */
        }
    }
    return skip(file, (uint64_t)(height - top - NPS_HEIGHT) * width);
}

static int read_picture(FILE *file, const char *path)
{
    char reason[120];
    char magic[2];
    if (fread(magic, 1, 2, file) != 2 || magic[0] != 'P' || magic[1] != '5' ||
        !is_space(head_character(file))) {
        return refuse(path, "not a binary PGM picture: must begin with P5 and white space");
    }
    const uint32_t width = head_number(file);
    const uint32_t height = width != 0 ? head_number(file) : 0;
    const uint32_t maxval = height != 0 ? head_number(file) : 0;
    if (maxval == 0) {
        snprintf(reason, sizeof reason,
                 "bad head: P5 must be followed by width, height and maxval, from 1 to %lu",
                 (unsigned long)LARGEST_SIDE);
        return refuse(path, reason);
    }
    if (maxval != 255) {
        snprintf(reason, sizeof reason, "maxval is %lu, must be 255 (8 bits per pixel)",
                 (unsigned long)maxval);
        return refuse(path, reason);
    }
    if (height < NPS_HEIGHT || width < NPS_WIDTH) {
        snprintf(reason, sizeof reason, "too small: %lu x %lu (height x width), needs %d x %d",
                 (unsigned long)height, (unsigned long)width, NPS_HEIGHT, NPS_WIDTH);
        return refuse(path, reason);
    }
    if (!read_pixels(file, height, width, (height - NPS_HEIGHT) / 2, (width - NPS_WIDTH) / 2)) {
        snprintf(reason, sizeof reason, "truncated: fewer than %lu x %lu pixels",
                 (unsigned long)height, (unsigned long)width);
        return refuse(path, ferror(file) ? strerror(errno) : reason);
    }
    if (height != NPS_HEIGHT || width != NPS_WIDTH) {
        fprintf(stderr, "scatter: %s: %lu x %lu, of which the centre %d x %d is taken\n", path,
                (unsigned long)height, (unsigned long)width, NPS_HEIGHT, NPS_WIDTH);
    }
    return 0;
}

/* ---- The coefficients ----------------------------------------------------------------------- */

static void print_channel(int channel, int all)
{
    const nps_coefficient *const map = coefficients + channel * MAP_SIZE;
    const int8_t *const path = nps_paths[channel];
    char name[40];
    const int order = (path[0] >= 0) + (path[2] >= 0);
    snprintf(name, sizeof name, "%d,%d,%d,%d,%d,%d", channel, order, path[0], path[1], path[2],
             path[3]);
    double sum = 0;
    double energy = 0;
    for (int i = 0; i < MAP_SIZE; i++) {
        const double value = (double)nps_value(channel, map[i]);
        sum += value;
        energy += value * value;
        if (all) {
            printf("%s,%d,%d,%.9g\n", name, i / NPS_OUT_WIDTH, i % NPS_OUT_WIDTH, value);
        }
    }
    if (!all) {
        printf("%s,%.9g,%.9g\n", name, sum / MAP_SIZE, energy);
    }
}

static int scatter_picture(const char *path, int all)
{
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        return refuse(path, strerror(errno));
    }
    const int failed = read_picture(file, path);
    fclose(file);
    if (failed) {
        return failed;
    }
    const int status = nps_scatter(image, coefficients, scratch.bytes, sizeof scratch);
    if (status != NPS_OK) {
        return refuse(path, explain(status));
    }
    printf("channel,order,j1,theta1,j2,theta2,%s\n", all ? "row,column,value" : "mean,energy");
    for (int channel = 0; channel < NPS_CHANNELS; channel++) {
        print_channel(channel, all);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return refuse("standard output", "cannot write");
    }
    return 0;
}

static int selftest(void)
{
    const int status = nps_selftest(scratch.bytes, sizeof scratch);
    if (status < 0) {
        return refuse("self-test", explain(status));
    }
    if (status > 0) {
        fprintf(stderr, "scatter: self-test: channel %d differs from the Python library's\n",
                status - 1);
        return 1;
    }
    printf("self-test passed: %s, %s\n", NPS_Q15 ? "Q15" : "float", NPS_PROVENANCE);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--selftest") == 0) {
        return selftest();
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        usage(stdout);
        return 0;
    }
    const int all = argc > 1 && strcmp(argv[1], "--all") == 0;
    if (argc != 2 + all || argv[1 + all][0] == '-') {
        return usage(stderr);
    }
    return scatter_picture(argv[1 + all], all);
}
