/* Stands in for Arduino's own: what the sketches here use, and macros that its cores have. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HIGH 0x1
#define LOW 0x0
#define INPUT 0x0
#define OUTPUT 0x1
#define PI 3.1415926535897932384626433832795
#define EULER 2.718281828459045235360287471352
#define DEFAULT 1
#define EXTERNAL 0
#define SERIAL 0x0
#define DISPLAY 0x1
#define B0 0
#define B101 5
#define A0 14
#define F(text) (text)
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define abs(x) ((x) > 0 ? (x) : -(x))
#define round(x) ((x) >= 0 ? (long)((x) + 0.5) : (long)((x) - 0.5))
#define sq(x) ((x) * (x))
#define radians(degree) ((degree) * 0.017453292519943295769236907684886)
#define degrees(radian) ((radian) * 57.295779513082320876798154814105)
#define constrain(x, low, high) ((x) < (low) ? (low) : ((x) > (high) ? (high) : (x)))
#define bit(b) (1UL << (b))
#define bitRead(value, bit) (((value) >> (bit)) & 0x01)
#define lowByte(w) ((uint8_t)((w) & 0xff))
#define word(...) makeWord(__VA_ARGS__)
#define interrupts() (void)0

class Print {
public:
    void begin(unsigned long) {}
    operator bool() const { return true; }
    size_t print(const char *text);
    size_t print(int number);
    size_t print(unsigned number);
    size_t print(unsigned long number);
    template <typename Value> size_t println(Value value) { return print(value) + print("\n"); }
};
extern Print Serial;

unsigned long millis(void);
unsigned long micros(void);
void delay(unsigned long milliseconds);
void setup(void);
void loop(void);

#endif
