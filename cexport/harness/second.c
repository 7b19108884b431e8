/* A second translation unit that includes the generated header.
 * SPDX-License-Identifier: BSD-3-Clause */

#include "second.h"

#include "nps.h"

int second_scatter(const void *image, void *output, void *scratch, size_t scratch_bytes)
{
    return nps_scatter((const nps_pixel *)image, (nps_coefficient *)output, scratch,
                       scratch_bytes);
}

float second_unit(int channel)
{
    return nps_value(channel, 1);
}
