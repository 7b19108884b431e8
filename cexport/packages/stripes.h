/* Are the stripes of a picture horizontal or vertical? The energies of its first-order
 * coefficients, one for each orientation, are compared with their means over some pictures of
 * either kind, and the nearest mean decides. The pictures are drawn here, so that no camera is
 * needed; to classify your own, fill stripes_picture instead. C99 and C++11. */
#ifndef STRIPES_H
#define STRIPES_H

#include "pfx.h"

#define STRIPES_KINDS 2
/* Pictures of each kind that are learned from, by their numbers; the others are for trying. */
#define STRIPES_LEARNED 8

static pfx_pixel stripes_picture[PFX_HEIGHT * PFX_WIDTH];
static pfx_memory stripes_scratch;
static float stripes_means[STRIPES_KINDS][PFX_L];

/* The next of some random numbers, which are the same on every machine. */
static uint32_t stripes_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Draws stripes of kind 0, horizontal, or 1, vertical: their width, place and contrast follow from
 * the number, and so does the noise on them. */
static void stripes_draw(int kind, uint32_t number)
{
    uint32_t state = (2U * number + (uint32_t)kind + 1U) * 2654435761U;
    const uint32_t period = 4U + stripes_random(&state) % 5U;
    const uint32_t phase = stripes_random(&state) % period;
    const uint32_t contrast = 40U + stripes_random(&state) % 61U;
    for (uint32_t y = 0; y < PFX_HEIGHT; y++) {
        for (uint32_t x = 0; x < PFX_WIDTH; x++) {
            const uint32_t place = (kind == 0 ? y : x) + phase;
            const uint32_t light = place % period < period / 2U ? contrast : 0U;
            const uint32_t noise = stripes_random(&state) % 51U;
            stripes_picture[y * PFX_WIDTH + x] = (pfx_pixel)(50U + light + noise);
        }
    }
}

/* Adds the energy of a channel of the first order to that of its orientation. */
static int stripes_add(void *context, int channel, const pfx_coefficient *values)
{
    float *const energies = (float *)context;
    const int8_t *const path = pfx_paths[channel];
    if (path[0] >= 0 && path[2] < 0) {
        for (int32_t i = 0; i < PFX_OUT_HEIGHT * PFX_OUT_WIDTH; i++) {
            const float value = pfx_value(channel, values[i]);
            energies[path[1]] += value * value;
        }
    }
    return 0;
}

/* The energies of the picture's PFX_L orientations, as parts of their sum: so contrast does not
 * count. Returns what pfx_scatter_stream does. */
static int stripes_energies(float *energies)
{
    float total = 0.0F;
    for (int32_t i = 0; i < PFX_L; i++) {
        energies[i] = 0.0F;
    }
    const int status = pfx_scatter_stream(stripes_picture, stripes_add, energies,
                                          stripes_scratch.bytes, sizeof stripes_scratch);
    for (int32_t i = 0; i < PFX_L; i++) {
        total += energies[i];
    }
    for (int32_t i = 0; i < PFX_L && total > 0.0F; i++) {
        energies[i] /= total;
    }
    return status;
}

/* Finds the means of both kinds. Returns PFX_OK or an error. */
static int stripes_learn(void)
{
    for (int kind = 0; kind < STRIPES_KINDS; kind++) {
        for (uint32_t number = 0; number < STRIPES_LEARNED; number++) {
            float energies[PFX_L];
            stripes_draw(kind, number);
            const int status = stripes_energies(energies);
            if (status != PFX_OK) {
                return status;
            }
            for (int32_t i = 0; i < PFX_L; i++) {
                stripes_means[kind][i] += energies[i] / (float)STRIPES_LEARNED;
            }
        }
    }
    return PFX_OK;
}

/* Returns the kind whose mean is nearest to the picture, or an error, which is negative. */
static int stripes_classify(void)
{
    float energies[PFX_L];
    float least = 0.0F;
    int nearest = -1;
    const int status = stripes_energies(energies);
    if (status != PFX_OK) {
        return status;
    }
    for (int kind = 0; kind < STRIPES_KINDS; kind++) {
        float distance = 0.0F;
        for (int32_t i = 0; i < PFX_L; i++) {
            const float difference = energies[i] - stripes_means[kind][i];
            distance += difference * difference;
        }
        if (nearest < 0 || distance < least) {
            nearest = kind;
            least = distance;
        }
    }
    return nearest;
}

/* What a kind is called. */
static const char *stripes_name(int kind)
{
    return kind == 0 ? "horizontal" : kind == 1 ? "vertical" : "an error";
}

#endif
