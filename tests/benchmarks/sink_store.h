/* What the sink remembers: of each object its size and checksum, of each upload its parts, and a
 * listing that was written out once.
 *
 * In: keys, sizes and checksums, from several threads. Out: the same, and the pages of the listing.
 * The bytes themselves are thrown away: a benchmark asks only whether they arrived as they were.
 */
#ifndef SINK_STORE_H
#define SINK_STORE_H
#include "sink_crc64.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 16384
#define MOST_PARTS 10000
#define ETAG_SIZE 40

struct stored { uint64_t size, crc; bool is_there; };

struct entry { struct entry *next; struct stored value; char key[]; };

struct upload { struct upload *next; uint64_t id; struct stored parts[MOST_PARTS + 1]; };

static struct entry *store_objects[BUCKETS];
static struct upload *store_uploads;
static uint64_t store_last_upload = 0x1000;
static pthread_mutex_t store_lock = PTHREAD_MUTEX_INITIALIZER;

/* An ETag that no client can take for an MD5, as that of an object in parts. */
static void store_etag(struct stored object, char etag[ETAG_SIZE]) {
    snprintf(etag, ETAG_SIZE, "%016llx%016llx-1", (unsigned long long)object.crc,
             (unsigned long long)(object.size * 0x9E3779B97F4A7C15ull));
}

static struct entry **store_find(const char *key) {
    uint64_t hash = 14695981039346656037ull;
    for (const char *c = key; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211ull;
    struct entry **at = &store_objects[(hash ^ hash >> 32) % BUCKETS];
    while (*at && strcmp((*at)->key, key)) at = &(*at)->next;
    return at;
}

static void store_put(const char *key, struct stored value) {
    pthread_mutex_lock(&store_lock);
    struct entry **at = store_find(key);
    if (!*at) {
        *at = calloc(1, sizeof **at + strlen(key) + 1);
        strcpy((*at)->key, key);
    }
    (*at)->value = value;
    pthread_mutex_unlock(&store_lock);
}

static struct stored store_get(const char *key) {
    pthread_mutex_lock(&store_lock);
    struct entry *found = *store_find(key);
    struct stored value = found ? found->value : (struct stored){0, 0, false};
    pthread_mutex_unlock(&store_lock);
    return value;
}

static void store_delete(const char *key) {
    pthread_mutex_lock(&store_lock);
    struct entry **at = store_find(key), *found = *at;
    if (found) {
        *at = found->next;
        free(found);
    }
    pthread_mutex_unlock(&store_lock);
}

static void store_clear(void) {
    pthread_mutex_lock(&store_lock);
    for (int i = 0; i < BUCKETS; i++)
        for (struct entry *next, *each = store_objects[i]; each; each = next) {
            next = each->next;
            free(each);
            store_objects[i] = next;
        }
    for (struct upload *each = store_uploads; each; each = store_uploads) {
        store_uploads = each->next;
        free(each);
    }
    pthread_mutex_unlock(&store_lock);
}

/* One line for each object, "SIZE CRC KEY"; the caller frees it. */
static char *store_describe(size_t *length) {
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    pthread_mutex_lock(&store_lock);
    for (int i = 0; i < BUCKETS; i++)
        for (struct entry *each = store_objects[i]; each; each = each->next)
            fprintf(out, "%llu %llu %s\n", (unsigned long long)each->value.size,
                    (unsigned long long)each->value.crc, each->key);
    pthread_mutex_unlock(&store_lock);
    fclose(out);
    return text;
}

static uint64_t store_begin_upload(void) {
    struct upload *upload = calloc(1, sizeof *upload);
    pthread_mutex_lock(&store_lock);
    upload->id = ++store_last_upload;
    upload->next = store_uploads;
    store_uploads = upload;
    pthread_mutex_unlock(&store_lock);
    return upload->id;
}

static struct upload **store_find_upload(uint64_t id) {
    struct upload **at = &store_uploads;
    while (*at && (*at)->id != id) at = &(*at)->next;
    return at;
}

static bool store_put_part(uint64_t id, long number, struct stored part) {
    pthread_mutex_lock(&store_lock);
    struct upload *upload = *store_find_upload(id);
    bool is_known = upload && number >= 1 && number <= MOST_PARTS;
    if (is_known) upload->parts[number] = part;
    pthread_mutex_unlock(&store_lock);
    return is_known;
}

static bool store_end_upload(uint64_t id) {
    pthread_mutex_lock(&store_lock);
    struct upload **at = store_find_upload(id), *found = *at;
    if (found) {
        *at = found->next;
        free(found);
    }
    pthread_mutex_unlock(&store_lock);
    return found != NULL;
}

/* Add a part to the whole, if it is the one that the list means. */
static bool store_join_part(const struct upload *upload, const char *listed, struct stored *whole) {
    char etag[ETAG_SIZE];
    const char *named = strstr(listed, "<PartNumber>");
    long number = named ? strtol(named + 12, NULL, 10) : 0;
    if (number < 1 || number > MOST_PARTS || !upload->parts[number].is_there) return false;
    struct stored part = upload->parts[number];
    store_etag(part, etag);
    const char *end = strstr(listed, "</Part>"), *found = strstr(listed, etag);
    if (!end || !found || found > end) return false;
    whole->crc = crc64_combine(whole->crc, part.crc, part.size);
    whole->size += part.size;
    return true;
}

/* Put the listed parts together, in the order of the list; not there when the list is wrong. */
static struct stored store_complete(uint64_t id, const char *list) {
    struct stored whole = {0, 0, false};
    pthread_mutex_lock(&store_lock);
    struct upload *upload = *store_find_upload(id);
    const char *part = upload ? strstr(list, "<Part>") : NULL;
    for (; part; part = strstr(part + 1, "<Part>")) {
        whole.is_there = store_join_part(upload, part, &whole);
        if (!whole.is_there) break;
    }
    pthread_mutex_unlock(&store_lock);
    if (whole.is_there) store_end_upload(id);
    return whole;
}

/* ---- the listing: keys "list/000/event-00000000.json" and on, a thousand under each prefix */

struct rows { char *text; size_t *at; };

static long listing_keys;
static struct rows listing_plain, listing_encoded;

/* Every sixteenth key has letters that a URL cannot have. */
static void listing_key(long number, bool is_encoded, char key[128]) {
    const char *slash = is_encoded ? "%2F" : "/";
    const char *word = number % 16 ? "" : is_encoded ? "%E6%97%A5%E5%BF%97-" : "日志-";
    snprintf(key, 128, "list%s%03ld%s%sevent-%08ld.json", slash, number / 1000, slash, word, number);
}

static long listing_size(long number) { return 1024 + number % 100000; }

static struct rows listing_rows(bool is_encoded) {
    struct rows rows = {malloc((size_t)listing_keys * 480 + 1),
                        malloc((size_t)(listing_keys + 1) * sizeof(size_t))};
    char *end = rows.text, key[128];
    for (long i = 0; i < listing_keys; i++) {
        listing_key(i, is_encoded, key);
        rows.at[i] = (size_t)(end - rows.text);
        end += sprintf(end,
                       "<Contents><Key>%s</Key><LastModified>2026-05-17T08:%02ld:%02ld.000Z</LastModified>"
                       "<ETag>&quot;%016llx%016llx&quot;</ETag><Size>%ld</Size>"
                       "<Owner><ID>1250000000</ID><DisplayName>1250000000</DisplayName></Owner>"
                       "<StorageClass>STANDARD</StorageClass></Contents>",
                       key, i / 60 % 60, i % 60, (unsigned long long)i * 0x9E3779B97F4A7C15ull,
                       (unsigned long long)i * 0xC2B2AE3D27D4EB4Full, listing_size(i));
    }
    rows.at[listing_keys] = (size_t)(end - rows.text);
    return rows;
}

static void listing_prepare(long keys) {
    listing_keys = keys;
    listing_plain = listing_rows(false);
    listing_encoded = listing_rows(true);
}

/* The first key after a marker, and the first one beyond a prefix. */
static long listing_start(const char *prefix, const char *marker) {
    const char *number = strstr(marker, "event-");
    long after = number ? strtol(number + 6, NULL, 10) + 1 : 0;
    long within = strncmp(prefix, "list/", 5) ? 0 : 1000 * strtol(prefix + 5, NULL, 10);
    return after > within ? after : within;
}

static long listing_end(const char *prefix) {
    size_t length = strlen(prefix) < 5 ? strlen(prefix) : 5;
    if (strncmp(prefix, "list/", length)) return 0;
    long end = prefix[length] ? 1000 * (strtol(prefix + 5, NULL, 10) + 1) : listing_keys;
    return end < listing_keys ? end : listing_keys;
}
#endif
