/* Scattering on a bare Cortex-M: one image, its hash, its cost.
 *
 * Prints lines "key=value" by semihosting and exits with 0 only if all is
 * well.  README.md says what each line means. */
#include "counter.h"
#include "nps.h"
#include "semihosting.h"
#include "stack.h"

#ifdef IMAGE_HEADER
#include IMAGE_HEADER                                /* static const nps_pixel example_image[] */
#else
static nps_pixel example_image[NPS_HEIGHT * NPS_WIDTH];

/* A ramp of period 128 with noise on it: 0 ... 254, floats divided by 255. */
static void make_image(void)
{
    for (uint32_t y = 0; y < NPS_HEIGHT; ++y) {
        for (uint32_t x = 0; x < NPS_WIDTH; ++x) {
            uint32_t noise = (y * 0x9E3779B1u) ^ (x * 0x85EBCA77u);
            noise = (noise ^ (noise >> 15)) * 0x2C1B3C6Du;
            const uint32_t value = ((3u * y + 5u * x) & 127u) + (noise >> 25);
#if NPS_Q15
            example_image[y * NPS_WIDTH + x] = (nps_pixel)value;
#else
            example_image[y * NPS_WIDTH + x] = (float)value / 255.0f;
#endif
        }
    }
}
#endif

/* Smaller values make the transform refuse, which tests that this program fails. */
#ifndef EXAMPLE_SCRATCH_BYTES
#define EXAMPLE_SCRATCH_BYTES NPS_SCRATCH_BYTES
#endif

/* The self-test makes its own picture, behind the scratch of the transform. */
#ifdef NPS_SELFTEST_BYTES
#define MEMORY_BYTES NPS_SELFTEST_BYTES
#else
#define MEMORY_BYTES NPS_SCRATCH_BYTES
#endif

static unsigned char scratch[MEMORY_BYTES] __attribute__((aligned(NPS_SCRATCH_ALIGN)));

struct reception {
    uint32_t hash;                                   /* FNV-1a, 32 bit, over all calls */
    uint32_t hash_sum;                               /* sum of each call's own FNV-1a */
    int32_t channels_seen;
};

#define FNV1A_START 2166136261u

static uint32_t fnv1a(uint32_t hash, const unsigned char *bytes, uint32_t count)
{
    for (uint32_t at = 0; at < count; ++at) {
        hash = (hash ^ bytes[at]) * 16777619u;
    }
    return hash;
}

/* The bytes are hashed as they lie in memory: Cortex-M is little-endian here. */
static uint32_t hash_call(uint32_t hash, int channel, const nps_coefficient *values)
{
    const int32_t number = channel;
    hash = fnv1a(hash, (const unsigned char *)&number, sizeof number);
    return fnv1a(hash, (const unsigned char *)values,
                 NPS_OUT_HEIGHT * NPS_OUT_WIDTH * (uint32_t)sizeof *values);
}

static int hash_channel(void *context, int channel, const nps_coefficient *values)
{
    struct reception *reception = context;
    reception->hash = hash_call(reception->hash, channel, values);
    reception->hash_sum += hash_call(FNV1A_START, channel, values);
    ++reception->channels_seen;
    return 0;
}

static int drop_channel(void *context, int channel, const nps_coefficient *values)
{
    (void)context;
    (void)channel;
    (void)values;
    return 0;
}

/* Never inlined, and the sinks are read from volatile memory: so the compiler
 * can neither drop what a sink does not read nor specialise for one sink. */
static int __attribute__((noinline)) transform(nps_sink sink, void *context)
{
    return nps_scatter_stream(example_image, sink, context, scratch, EXAMPLE_SCRATCH_BYTES);
}

static void dirty_scratch(void)
{
    for (uint32_t at = 0; at < sizeof scratch; ++at) {
        scratch[at] = 0xA5u;
    }
}

int main(void)
{
    static nps_sink volatile hashing = hash_channel;
    static nps_sink volatile dropping = drop_channel;
    int well = 1;

    semihosting_write_text("machine", BOARD_NAME);
    semihosting_write_text("cpu", CPU_NAME);

    counter_start();
    const uint64_t checked = counter_check();
    semihosting_write_unsigned("counter_check_expected", COUNTER_CHECK_INSTRUCTIONS);
    semihosting_write_unsigned("counter_check_counted", checked);
    /* Three ticks of at most 63 instructions: start, end, and the reading. */
    well &= checked + 200u > COUNTER_CHECK_INSTRUCTIONS && checked < COUNTER_CHECK_INSTRUCTIONS + 200u;

#ifndef IMAGE_HEADER
    make_image();
#endif

    /* First the cost, with a sink that does nothing ... */
    dirty_scratch();
    nps_sink sink = dropping;
    const uintptr_t pointer = stack_paint();
    const uint64_t before = counter_ticks();
    const int status_first = transform(sink, 0);
    const uint64_t ticks = counter_ticks() - before;
    const uintptr_t lowest = stack_lowest_used();
    well &= lowest > (uintptr_t)stack_limit;

    /* ... then the values. */
    dirty_scratch();
    struct reception reception = {FNV1A_START, 0u, 0};
    sink = hashing;
    const int status = transform(sink, &reception);
    well &= status == NPS_OK && status_first == NPS_OK;
    well &= reception.channels_seen == NPS_CHANNELS;

    semihosting_write_signed("status", status);
    semihosting_write_hexadecimal("hash", reception.hash);
    semihosting_write_hexadecimal("hash_sum", reception.hash_sum);
    semihosting_write_unsigned("instructions", counter_instructions(ticks));
    semihosting_write_unsigned("stack_bytes", (uint64_t)(pointer - lowest));
    semihosting_write_unsigned("scratch_bytes", NPS_SCRATCH_BYTES);
    semihosting_write_signed("channels_seen", reception.channels_seen);
    semihosting_write_signed("channels", NPS_CHANNELS);

#ifdef NPS_SELFTEST
    const int selftest = nps_selftest(scratch, sizeof scratch);
    semihosting_write_signed("selftest", selftest);
    well &= selftest == NPS_OK;
#endif

    semihosting_write_text("result", well ? "ok" : "failed");
    return well ? 0 : 1;
}
