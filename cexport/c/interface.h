#if !PFX_Q15
/* The only function called from outside. Where there is no math.h, define it before including. */
#ifndef PFX_SQRTF
#include <math.h>
#define PFX_SQRTF(value) sqrtf(value)
#endif

#endif
#ifdef __cplusplus
extern "C" {
#endif

/* How the functions are declared; `static inline` lets several files include this header. */
#ifndef PFX_API
#define PFX_API static inline
#endif

#if defined(__GNUC__) || defined(__clang__) || defined(_MSC_VER)
#define PFX_RESTRICT __restrict
#else
#define PFX_RESTRICT
#endif

#ifdef __has_feature
#define PFX_SANITIZED \
    (__has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer))
#else
#define PFX_SANITIZED 0
#endif

/* Before a loop whose turns are independent: more pointers than compilers check for that. Clang
 * warns where it is told so and makes no vector code. */
#if !defined(__clang__) && defined(__GNUC__)
#define PFX_INDEPENDENT _Pragma("GCC ivdep")
#elif defined(__clang__) && defined(__OPTIMIZE__) && !PFX_SANITIZED && \
    (defined(__SSE2__) || defined(__wasm_simd128__))
#define PFX_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define PFX_INDEPENDENT
#endif

/* An int of 16 bits, as AVR has it, counts no further. */
PFX_ASSERT(sizeof(int) >= 4 ||
               (PFX_SCRATCH_BYTES <= UINT16_MAX && (int32_t)PFX_HEIGHT * PFX_WIDTH <= INT16_MAX &&
                (int32_t)PFX_CHANNELS * PFX_OUT_HEIGHT * PFX_OUT_WIDTH <= INT16_MAX),
           images_are_small_where_int_has_16_bits);

#if PFX_Q15
typedef uint8_t pfx_pixel;       /* 0 to 255 */
typedef int16_t pfx_coefficient; /* see pfx_exponents and pfx_value */
#else
typedef float pfx_pixel;       /* of any magnitude; the coefficients scale with it */
typedef float pfx_coefficient;
#endif
#if PFX_CLASSIFIER
#if PFX_Q15
typedef int32_t pfx_score; /* see PFX_SCORE_UNIT */
#else
typedef float pfx_score;
#endif
#endif

/* What addresses must be multiples of: on some machines less than the size of what lies there. */
typedef struct {
    /* cppcheck-suppress unusedStructMember */
    char before;
    uint32_t number;
} pfx_aligned_scratch;
typedef struct {
    /* cppcheck-suppress unusedStructMember */
    char before;
    pfx_coefficient coefficient;
} pfx_aligned_coefficient;
#define PFX_SCRATCH_ALIGN offsetof(pfx_aligned_scratch, number)
#define PFX_COEFFICIENT_ALIGN offsetof(pfx_aligned_coefficient, coefficient)

enum pfx_error {
    PFX_OK = 0,
    PFX_ERROR_NULL = -1,      /* a pointer is NULL */
    PFX_ERROR_SCRATCH = -2,   /* scratch_bytes is less than needed */
    PFX_ERROR_ALIGNMENT = -3, /* a pointer is not aligned */
    PFX_ERROR_STOPPED = -4    /* the sink returned something else than 0 */
};

/* Memory for pfx_scatter: `static pfx_memory memory;`, of which `memory.bytes` is the address. */
typedef union {
    /* cppcheck-suppress unusedStructMember */
    uint32_t alignment;
    unsigned char bytes[PFX_SCRATCH_BYTES];
} pfx_memory;

/* Takes one channel, PFX_OUT_HEIGHT rows of PFX_OUT_WIDTH coefficients; 0 to go on. */
typedef int (*pfx_sink)(void *context, int channel, const pfx_coefficient *values);

PFX_API int pfx_scatter_stream(const pfx_pixel *image, pfx_sink sink, void *context, void *scratch,
                               size_t scratch_bytes);
PFX_API int pfx_scatter(const pfx_pixel *image, pfx_coefficient *output, void *scratch,
                        size_t scratch_bytes);
#if PFX_CLASSIFIER
PFX_API int pfx_classify(const pfx_pixel *image, pfx_score *scores, void *scratch,
                         size_t scratch_bytes);
#endif
PFX_API float pfx_value(int channel, pfx_coefficient coefficient);
#ifdef PFX_SELFTEST
PFX_API int pfx_selftest(void *scratch, size_t scratch_bytes);
#endif
