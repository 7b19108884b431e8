/* Writes the coefficients of the picture, as they lie in memory; exits with what the self-test says. */
#define NPS_SELFTEST
#include "nps.h"
#include "picture.h"
#include "start.h"

static nps_coefficient output[NPS_OUTPUT_SIZE];
static unsigned char scratch[NPS_SELFTEST_BYTES] __attribute__((aligned(NPS_SCRATCH_ALIGN)));

int main(void)
{
    for (size_t i = 0; i < sizeof scratch; i++) {
        scratch[i] = 0xA5U;
    }
    if (nps_scatter(example_image, output, scratch, NPS_SCRATCH_BYTES) != NPS_OK) {
        return 98;
    }
    write_bytes(output, sizeof output);
    const int status = nps_selftest(scratch, sizeof scratch);
    return status == NPS_OK ? 0 : 97;
}
