/* Does this board compute what the Python library computed when the header was made? The serial
 * monitor needs 115200 baud. */
#define PFX_SELFTEST
#include "pfx.h"

static union {
    uint32_t alignment;
    unsigned char bytes[PFX_SELFTEST_BYTES];
} memory;

void setup()
{
    Serial.begin(115200);
    while (!Serial && millis() < 5000) {
    }
    const int status = pfx_selftest(memory.bytes, sizeof memory);
    Serial.print("self-test: ");
    Serial.print(status);
    Serial.println(status == 0 ? ", all is right" : ", see pfx.h");
}

void loop()
{
}
