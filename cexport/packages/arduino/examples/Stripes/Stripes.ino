/* Tells horizontal from vertical stripes, by the energies of their scattering coefficients. How,
 * and where your own pictures go, stands in stripes.h. The serial monitor needs 115200 baud. */
#include "stripes.h"

static uint32_t number = STRIPES_LEARNED; /* of the next picture */
static uint32_t right = 0;

void setup()
{
    Serial.begin(115200);
    while (!Serial && millis() < 5000) {
    }
    const int status = stripes_learn();
    Serial.print("learned from ");
    Serial.print(STRIPES_KINDS * STRIPES_LEARNED);
    Serial.print(" pictures, status ");
    Serial.println(status);
}

void loop()
{
    const int kind = (int)(number % STRIPES_KINDS);
    stripes_draw(kind, number);
    const uint32_t start = micros();
    const int taken = stripes_classify();
    const uint32_t passed = micros() - start;
    right += taken == kind ? 1U : 0U;
    number++;
    Serial.print(stripes_name(kind));
    Serial.print(" stripes are taken for ");
    Serial.print(stripes_name(taken));
    Serial.print(", in ");
    Serial.print(passed);
    Serial.print(" microseconds; right: ");
    Serial.print(right);
    Serial.print(" of ");
    Serial.println(number - STRIPES_LEARNED);
    delay(500);
}
