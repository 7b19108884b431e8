/* Semihosting on Cortex-M: text and an exit code handed to the debugger or to
 * QEMU through the instruction "bkpt 0xAB".  Without a listener the
 * instruction faults, so this is for examples and tests, not for products. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

/* Write a zero-terminated text to the host's console. */
void semihosting_write(const char *text);

/* Write "key=value" and a new line; the value in decimal or as 0x%08x. */
void semihosting_write_text(const char *key, const char *value);
void semihosting_write_signed(const char *key, int32_t value);
void semihosting_write_unsigned(const char *key, uint64_t value);
void semihosting_write_hexadecimal(const char *key, uint32_t value);

/* End the program; code becomes the exit code of qemu-system-arm. */
void semihosting_exit(int code) __attribute__((noreturn));

#endif
