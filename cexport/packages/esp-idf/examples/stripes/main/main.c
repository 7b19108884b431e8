/* Tells horizontal from vertical stripes; see stripes.h. */
#include <stdio.h>
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "stripes.h"

void app_main(void)
{
    unsigned right = 0;
    printf("learned, status %d\n", stripes_learn());
    for (unsigned tried = 0;; tried++) {
        const int kind = (int)(tried % STRIPES_KINDS);
        stripes_draw(kind, STRIPES_LEARNED + tried);
        const int taken = stripes_classify();
        right += taken == kind ? 1U : 0U;
        printf("%s stripes are taken for %s; right: %u of %u\n", stripes_name(kind),
               stripes_name(taken), right, tried + 1U);
        vTaskDelay(pdMS_TO_TICKS(500));
    }
}
