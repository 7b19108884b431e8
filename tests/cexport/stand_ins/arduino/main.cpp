/* Runs a sketch on this machine: setup() once, loop() ten times. */
#include "Arduino.h"
#include <stdio.h>

Print Serial;

size_t Print::print(const char *text) { return (size_t)printf("%s", text); }
size_t Print::print(int number) { return (size_t)printf("%d", number); }
size_t Print::print(unsigned number) { return (size_t)printf("%u", number); }
size_t Print::print(unsigned long number) { return (size_t)printf("%lu", number); }

static unsigned long now = 0;
unsigned long millis(void) { return ++now / 1000; }
unsigned long micros(void) { return ++now; }
void delay(unsigned long milliseconds) { now += 1000 * milliseconds; }

int main(void)
{
    setup();
    for (int turn = 0; turn < 10; turn++) {
        loop();
    }
    return 0;
}
