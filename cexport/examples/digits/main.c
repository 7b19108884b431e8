/* Digits on a bare Cortex-M: what each picture is taken for, and what that costs.
 *
 * Prints lines "key=value" by semihosting and exits with 0 only if all is
 * well.  README.md says what each line means. */
#include "counter.h"
#include "nps.h"
#include "pictures.h"                                /* pictures[PICTURES][...], in flash */
#include "semihosting.h"
#include "stack.h"

static nps_memory scratch;

/* 32-bit FNV-1a over the scores, low byte first. */
static uint32_t hash_of(const nps_score *scores)
{
    uint32_t hash = 2166136261u;
    for (int k = 0; k < NPS_SCORES; ++k) {
        const uint32_t bits = (uint32_t)scores[k];
        for (int shift = 0; shift < 32; shift += 8) {
            hash = (hash ^ ((bits >> shift) & 0xFFu)) * 16777619u;
        }
    }
    return hash;
}

/* Never inlined, so that what it takes of the stack lies below main's. */
static int __attribute__((noinline)) classify(const nps_pixel *picture, nps_score *scores)
{
    return nps_classify(picture, scores, scratch.bytes, sizeof scratch);
}

int main(void)
{
    nps_score scores[NPS_SCORES];
    uint64_t total = 0u;
    uint64_t most = 0u;
    int well = 1;

    counter_start();
    const uint64_t checked = counter_check();
    /* Three ticks of at most 63 instructions: start, end, and the reading. */
    well &= checked + 200u > COUNTER_CHECK_INSTRUCTIONS && checked < COUNTER_CHECK_INSTRUCTIONS + 200u;

    const uintptr_t pointer = stack_paint();
    for (int n = 0; n < PICTURES; ++n) {
        const uint64_t before = counter_ticks();
        const int number = classify(pictures[n], scores);
        const uint64_t ticks = counter_ticks() - before;
        total += ticks;
        most = ticks > most ? ticks : most;
        if (number < 0) {
            semihosting_write_signed("status", number);
            well = 0;
            break;
        }
        semihosting_write_signed("label", nps_labels[number]);
        semihosting_write_hexadecimal("scores", hash_of(scores));
    }
    const uintptr_t lowest = stack_lowest_used();
    well &= lowest > (uintptr_t)stack_limit;

    semihosting_write_unsigned("instructions", counter_instructions(total) / PICTURES);
    semihosting_write_unsigned("instructions_most", counter_instructions(most));
    semihosting_write_unsigned("stack_bytes", (uint64_t)(pointer - lowest));
    semihosting_write_unsigned("scratch_bytes", NPS_SCRATCH_BYTES);
    semihosting_write_text("result", well ? "ok" : "failed");
    return well ? 0 : 1;
}
