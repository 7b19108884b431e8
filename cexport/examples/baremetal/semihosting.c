#include "semihosting.h"

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20 };
enum { ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

/* r0: the operation, and afterwards its answer; r1: its argument. */
static uintptr_t semihosting_call(uint32_t operation, const void *argument)
{
    register uintptr_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = (uintptr_t)argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void semihosting_write(const char *text)
{
    (void)semihosting_call(SYS_WRITE0, text);
}

void semihosting_write_text(const char *key, const char *value)
{
    semihosting_write(key);
    semihosting_write("=");
    semihosting_write(value);
    semihosting_write("\n");
}

/* 21 bytes: 2^64 - 1 has 20 digits. */
static const char *decimal_text(uint64_t value, char text[21])
{
    int at = 20;
    text[at] = '\0';
    do {
        text[--at] = (char)('0' + (int)(value % 10u));
        value /= 10u;
    } while (value != 0u);
    return text + at;
}

void semihosting_write_unsigned(const char *key, uint64_t value)
{
    char text[21];
    semihosting_write_text(key, decimal_text(value, text));
}

void semihosting_write_signed(const char *key, int32_t value)
{
    char text[21];
    const int64_t wide = value;
    semihosting_write(key);
    semihosting_write(wide < 0 ? "=-" : "=");
    semihosting_write(decimal_text((uint64_t)(wide < 0 ? -wide : wide), text));
    semihosting_write("\n");
}

void semihosting_write_hexadecimal(const char *key, uint32_t value)
{
    char text[11] = "0x";
    for (int digit = 0; digit < 8; ++digit) {
        text[2 + digit] = "0123456789abcdef"[(value >> (28 - 4 * digit)) & 15u];
    }
    text[10] = '\0';
    semihosting_write_text(key, text);
}

void semihosting_exit(int code)
{
    const uint32_t argument[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)code};
    for (;;) {
        (void)semihosting_call(SYS_EXIT_EXTENDED, argument);
    }
}
