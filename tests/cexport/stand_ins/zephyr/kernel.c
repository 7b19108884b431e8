#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "zephyr/kernel.h"
#include "zephyr/sys/printk.h"

void printk(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
}

int k_msleep(int milliseconds)
{
    static unsigned turns = 0;
    if (milliseconds > 0 && ++turns == 10) {
        exit(0);
    }
    return 0;
}
