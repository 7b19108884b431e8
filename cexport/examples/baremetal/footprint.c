/* What the header alone costs in flash: only its functions, for "make size". */
#include "nps.h"

int footprint_stream(const nps_pixel *image, nps_sink sink, void *context, void *scratch,
                     size_t scratch_bytes);

int footprint_stream(const nps_pixel *image, nps_sink sink, void *context, void *scratch,
                     size_t scratch_bytes)
{
    return nps_scatter_stream(image, sink, context, scratch, scratch_bytes);
}
