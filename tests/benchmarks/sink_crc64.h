/* CRC-64/XZ, the checksum of x-cos-hash-crc64ecma: of bytes, and of two ranges put together.
 *
 * In: bytes and the checksum of what came before them (0 at the start). Out: the checksum of both.
 * Where the processor multiplies polynomials (PCLMULQDQ), 64 bytes are folded at a time, so that the
 * checksum is no burden on the server; elsewhere tables take 16 bytes at a time.
 *
 * Polynomials are reflected: the highest bit of a word is the coefficient of x^0.
 */
#ifndef SINK_CRC64_H
#define SINK_CRC64_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CRC64_POLYNOMIAL 0xC96C5795D7870F42ull
#define CRC64_ONE (1ull << 63)

static uint64_t crc64_tables[16][256];
static uint64_t crc64_fold_by_64[2], crc64_fold_by_16[2];
static int crc64_can_fold;

static uint64_t crc64_times_x(uint64_t a) { return a & 1 ? (a >> 1) ^ CRC64_POLYNOMIAL : a >> 1; }

static uint64_t crc64_multiply(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    for (uint64_t bit = CRC64_ONE; bit; bit >>= 1, b = crc64_times_x(b))
        if (a & bit) product ^= b;
    return product;
}

/* x to the power of n, modulo the polynomial */
static uint64_t crc64_power(uint64_t n) {
    uint64_t power = CRC64_ONE, square = CRC64_ONE >> 1;
    for (; n; n >>= 1, square = crc64_multiply(square, square))
        if (n & 1) power = crc64_multiply(power, square);
    return power;
}

/* The checksum of two ranges, from the checksum of each and the length of the second. */
static uint64_t crc64_combine(uint64_t first, uint64_t second, uint64_t second_length) {
    return crc64_multiply(first, crc64_power(8 * second_length)) ^ second;
}

static void crc64_prepare(void) {
    for (int byte = 0; byte < 256; byte++) {
        uint64_t rest = (uint64_t)byte;
        for (int bit = 0; bit < 8; bit++) rest = crc64_times_x(rest);
        crc64_tables[0][byte] = rest;
    }
    for (int table = 1; table < 16; table++)
        for (int byte = 0; byte < 256; byte++) {
            uint64_t before = crc64_tables[table - 1][byte];
            crc64_tables[table][byte] = crc64_tables[0][before & 255] ^ (before >> 8);
        }
    /* A reflected product stands one place too high: each exponent is one less than the distance. */
    crc64_fold_by_64[0] = crc64_power(512 + 64 - 1);
    crc64_fold_by_64[1] = crc64_power(512 - 1);
    crc64_fold_by_16[0] = crc64_power(128 + 64 - 1);
    crc64_fold_by_16[1] = crc64_power(128 - 1);
#if defined(__x86_64__)
    crc64_can_fold = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

static uint64_t crc64_by_table(uint64_t state, const unsigned char *at, size_t length) {
    for (; length >= 16; at += 16, length -= 16) {
        uint64_t halves[2], sum = 0;
        memcpy(halves, at, 16);
        halves[0] ^= state;
        for (int byte = 0; byte < 8; byte++) {
            sum ^= crc64_tables[15 - byte][(halves[0] >> (8 * byte)) & 255];
            sum ^= crc64_tables[7 - byte][(halves[1] >> (8 * byte)) & 255];
        }
        state = sum;
    }
    for (; length; length--) state = crc64_tables[0][(state ^ *at++) & 255] ^ (state >> 8);
    return state;
}

#if defined(__x86_64__)
#define CRC64_TARGET __attribute__((target("pclmul,sse4.1")))

/* Move 16 bytes on by the distance of the factors, onto those that lie there. */
CRC64_TARGET static inline __m128i crc64_fold(__m128i before, __m128i factors, __m128i there) {
    __m128i high = _mm_clmulepi64_si128(before, factors, 0x00);
    __m128i low = _mm_clmulepi64_si128(before, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(high, low), there);
}

CRC64_TARGET static uint64_t crc64_by_folding(uint64_t state, const unsigned char *at, size_t length) {
    const __m128i far = _mm_loadu_si128((const __m128i *)crc64_fold_by_64);
    const __m128i near = _mm_loadu_si128((const __m128i *)crc64_fold_by_16);
    const __m128i *block = (const __m128i *)at;
    __m128i lane[4];
    for (int i = 0; i < 4; i++) lane[i] = _mm_loadu_si128(block + i);
    lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi64_si128((long long)state));
    for (at += 64, length -= 64; length >= 64; at += 64, length -= 64) {
        block = (const __m128i *)at;
        for (int i = 0; i < 4; i++) lane[i] = crc64_fold(lane[i], far, _mm_loadu_si128(block + i));
    }
    for (int i = 1; i < 4; i++) lane[i] = crc64_fold(lane[i - 1], near, lane[i]);
    unsigned char last[16];
    _mm_storeu_si128((__m128i *)last, lane[3]);
    return crc64_by_table(crc64_by_table(0, last, 16), at, length);
}
#endif

static uint64_t crc64(uint64_t before, const void *bytes, size_t length) {
#if defined(__x86_64__)
    if (crc64_can_fold && length >= 64) return ~crc64_by_folding(~before, bytes, length);
#endif
    return ~crc64_by_table(~before, bytes, length);
}
#endif
