/* What Arm's processors compute several products with at once: vectors, or pairs, of which the
 * first number is the low half. Neither is used where PFX_PLAIN is defined. */
#if defined(__ARM_FEATURE_MVE) && !defined(PFX_PLAIN)
#include <arm_mve.h>
#define PFX_VECTORS
#elif defined(__ARM_FEATURE_DSP) && !defined(__ARM_BIG_ENDIAN) && defined(__GNUC__) && \
    !defined(PFX_PLAIN)
#include <arm_acle.h>
#define PFX_PAIRS
#endif
