/* What the header alone costs in flash: only its functions, for "make size". */
#include "nps.h"

#ifdef NPS_CLASSES
int footprint_classify(const nps_pixel *image, nps_score *scores, void *scratch,
                       size_t scratch_bytes);

int footprint_classify(const nps_pixel *image, nps_score *scores, void *scratch,
                       size_t scratch_bytes)
{
    return nps_classify(image, scores, scratch, scratch_bytes);
}
#else
int footprint_stream(const nps_pixel *image, nps_sink sink, void *context, void *scratch,
                     size_t scratch_bytes);

int footprint_stream(const nps_pixel *image, nps_sink sink, void *context, void *scratch,
                     size_t scratch_bytes)
{
    return nps_scatter_stream(image, sink, context, scratch, scratch_bytes);
}
#endif
