#include "cjournal.h"
#include <string.h>

static const uint64_t p1 = 0x9e3779b185ebca87, p2 = 0xc2b2ae3d27d4eb4f, p3 = 0x165667b19e3779f9, p4 = 0x85ebca77c2b2ae63,
                      p5 = 0x27d4eb2f165667c5;

static inline uint64_t rotated(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }
static inline uint64_t round_of(uint64_t lane, uint64_t word) { return rotated(lane + word * p2, 31) * p1; }

static inline uint64_t word(const uint8_t *bytes, size_t size) {
    uint64_t value = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&value, bytes, size);
#else
    for (size_t i = size; i > 0; i--) value = value << 8 | bytes[i - 1];
#endif
    return value;
}

uint64_t cj_xxh64(const void *bytes, size_t count, uint64_t seed) {
    const uint8_t *p = bytes;
    size_t left = count;
    uint64_t sum = seed + p5;
    if (count >= 32) {
        uint64_t a = seed + p1 + p2, b = seed + p2, c = seed, d = seed - p1;
        for (; left >= 32; p += 32, left -= 32) {
            a = round_of(a, word(p, 8));
            b = round_of(b, word(p + 8, 8));
            c = round_of(c, word(p + 16, 8));
            d = round_of(d, word(p + 24, 8));
        }
        sum = rotated(a, 1) + rotated(b, 7) + rotated(c, 12) + rotated(d, 18);
        uint64_t lanes[] = {a, b, c, d};
        for (int i = 0; i < 4; i++) sum = (sum ^ round_of(0, lanes[i])) * p1 + p4;
    }
    sum += count;
    for (; left >= 8; p += 8, left -= 8) sum = rotated(sum ^ round_of(0, word(p, 8)), 27) * p1 + p4;
    if (left >= 4) {
        sum = rotated(sum ^ word(p, 4) * p1, 23) * p2 + p3;
        p += 4;
        left -= 4;
    }
    for (; left > 0; p++, left--) sum = rotated(sum ^ *p * p5, 11) * p1;
    sum = (sum ^ sum >> 33) * p2;
    sum = (sum ^ sum >> 29) * p3;
    return sum ^ sum >> 32;
}
