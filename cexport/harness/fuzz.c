/* fuzz N [SEED]: transforms N random images of many kinds and prints a hash of all coefficients.
 * Meant to be built with sanitizers; see README.md.
 * SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nps.h"

#define PIXELS (NPS_HEIGHT * NPS_WIDTH)
#define KINDS 8U

static uint32_t random_state;

/* 24 random bits, by xorshift. */
static uint32_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state >> 8;
}

/* One pixel of each kind; `a`, `b` and `c` are random per image. */
static uint32_t pixel_of(uint32_t kind, uint32_t y, uint32_t x, uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t noise = random_number();
    switch (kind) {
    case 0: /* uniform */
        return noise % 256U;
    case 1: /* binary */
        return noise % 256U < a % 256U ? 255U : 0U;
    case 2: /* sparse */
        return noise % 64U == 0U ? random_number() % 256U : 0U;
    case 3: /* smooth */
        return (a % 256U * 16U + y * (b % 32U) + x * (c % 32U)) / 16U % 256U;
    case 4: /* faint */
        return a % 253U + noise % 4U;
    case 5: /* stripes, in any direction */
        return (y * (a % 8U) + x * (b % 8U)) / (1U + c % 8U) % 2U * 255U;
    case 6: /* blocks */
        return (y / (1U + a % 8U) + x / (1U + b % 8U)) % 2U == 0U ? c % 256U : 255U;
    default: /* an edge under noise */
        return (y * (a % 16U) + x * (b % 16U) < c % 512U ? 200U : 20U) + noise % 36U;
    }
}

static uint32_t hashed(uint32_t hash, uint32_t bits, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        hash = (hash ^ (bits & 0xFFU)) * 16777619U;
        bits >>= 8;
    }
    return hash;
}

int main(int argc, char **argv)
{
    static nps_pixel image[PIXELS];
    static nps_coefficient output[NPS_OUTPUT_SIZE];
    static nps_memory scratch;
    const long count = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    uint32_t hash = 2166136261U;
    random_state = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1U;
    if (count < 1 || random_state == 0U) {
        fprintf(stderr, "usage: fuzz N [SEED], both at least 1\n");
        return 2;
    }
    for (long number = 0; number < count; number++) {
        const uint32_t kind = random_number() % KINDS;
        const uint32_t a = random_number();
        const uint32_t b = random_number();
        const uint32_t c = random_number();
        for (uint32_t i = 0; i < PIXELS; i++) {
            image[i] = (nps_pixel)pixel_of(kind, i / NPS_WIDTH, i % NPS_WIDTH, a, b, c);
        }
        const int status = nps_scatter(image, output, scratch.bytes, sizeof scratch.bytes);
        if (status != NPS_OK) {
            printf("%s:%d: image %ld: status %d\n", __FILE__, __LINE__, number, status);
            return 1;
        }
        for (int32_t i = 0; i < NPS_OUTPUT_SIZE; i++) {
            uint32_t bits = 0;
#if NPS_Q15
            bits = (uint16_t)output[i];
#else
            memcpy(&bits, &output[i], sizeof bits);
#endif
            hash = hashed(hash, bits, (int)sizeof output[i]);
        }
    }
    printf("%ld images, hash %08lx\n", count, (unsigned long)hash);
    return 0;
}
