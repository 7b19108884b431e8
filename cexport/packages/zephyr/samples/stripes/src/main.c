/* Tells horizontal from vertical stripes; see stripes.h. */
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>
#include "stripes.h"

int main(void)
{
    unsigned right = 0;
    printk("learned, status %d\n", stripes_learn());
    for (unsigned tried = 0;; tried++) {
        const int kind = (int)(tried % STRIPES_KINDS);
        stripes_draw(kind, STRIPES_LEARNED + tried);
        const int taken = stripes_classify();
        right += taken == kind ? 1U : 0U;
        printk("%s stripes are taken for %s; right: %u of %u\n", stripes_name(kind),
               stripes_name(taken), right, tried + 1U);
        k_msleep(500);
    }
    return 0;
}
