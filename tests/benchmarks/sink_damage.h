/* A flipped bit, and what a server that compares the digests in a request makes of it.
 *
 * In: bodies on their way in. Out: the same with one bit flipped, and whether the Content-MD5 or
 * x-amz-content-sha256 that came with them still agrees; digests need OpenSSL.
 */
#ifndef SINK_DAMAGE_H
#define SINK_DAMAGE_H
#include "sink_connection.h"

#define DAMAGED_BYTE 1000 /* of the block that is served, hence of every object that is longer */

static const char *option_damage = "";

#ifdef WITH_TLS
static bool is_digest(EVP_MD_CTX *context, const char *said, bool is_hex) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned int length = 0;
    EVP_DigestFinal_ex(context, digest, &length);
    if (is_hex)
        for (unsigned int i = 0; i < length; i++) sprintf(text + 2 * i, "%02x", digest[i]);
    else
        EVP_EncodeBlock((unsigned char *)text, digest, (int)length);
    return !strcmp(text, said);
}

static EVP_MD_CTX *digest_begun(const EVP_MD *kind) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, kind, NULL);
    return context;
}

static void digest_free(struct connection *c) {
    EVP_MD_CTX_free(c->md5);
    EVP_MD_CTX_free(c->sha256);
    c->md5 = c->sha256 = NULL;
}
#endif

static bool damages(const struct connection *c) {
    return c->request.method == PUT && !strcmp(option_damage, "in");
}

static void begin_digests(struct connection *c) {
#ifdef WITH_TLS
    digest_free(c);
    if (!damages(c)) return;
    if (c->request.md5[0]) c->md5 = digest_begun(EVP_md5());
    if (strlen(c->request.sha256) == 64) c->sha256 = digest_begun(EVP_sha256());
#else
    (void)c;
#endif
}

static void damage(struct connection *c, char *bytes, size_t length) {
    if (c->body_left == c->request.length) bytes[0] ^= 1;
#ifdef WITH_TLS
    if (c->md5) EVP_DigestUpdate(c->md5, bytes, length);
    if (c->sha256) EVP_DigestUpdate(c->sha256, bytes, length);
#else
    (void)length;
#endif
}

static bool digests_agree(struct connection *c) {
#ifdef WITH_TLS
    if (c->md5 && !is_digest(c->md5, c->request.md5, false)) return false;
    if (c->sha256 && !is_digest(c->sha256, c->request.sha256, true)) return false;
#else
    (void)c;
#endif
    return true;
}
#endif
