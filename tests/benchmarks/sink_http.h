/* One HTTP request, read from the bytes of its head.
 *
 * In: the head, up to and with its empty line. Out: a request: method, key, query and the few
 * headers that matter to a server of objects. Keys come percent-decoded, without the bucket, whether
 * the bucket stood in the path or in the name of the host; the key of the bucket itself is "".
 */
#ifndef SINK_HTTP_H
#define SINK_HTTP_H
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BUCKET "/bench-1250000000"

enum method { GET, HEAD, PUT, POST, DELETE, OTHER };

struct request {
    enum method method;
    char key[2048], query[2048];
    uint64_t length;          /* of the body */
    int64_t first, last;      /* of the range, -1 where not given */
    bool has_range, is_chunked, expects_continue, wants_close;
    char md5[32], sha256[72]; /* what the client says of the body */
};

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void percent_decode(const char *from, size_t length, char *to, size_t room) {
    size_t made = 0;
    for (size_t i = 0; i < length && made + 1 < room; i++) {
        bool is_coded = from[i] == '%' && i + 2 < length && hex_digit(from[i + 1]) >= 0 &&
                        hex_digit(from[i + 2]) >= 0;
        if (is_coded) {
            to[made++] = (char)(hex_digit(from[i + 1]) << 4 | hex_digit(from[i + 2]));
            i += 2;
        } else {
            to[made++] = from[i];
        }
    }
    to[made] = 0;
}

/* Copy a parameter of the query, decoded; say whether it was there. */
static bool query_value(const char *query, const char *name, char *value, size_t room) {
    size_t length = strlen(name);
    for (const char *at = query, *next; *at; at = next) {
        size_t all = strcspn(at, "&");
        next = at + all + (at[all] == '&');
        if (all < length || strncasecmp(at, name, length)) continue;
        if (all > length && at[length] != '=') continue;
        size_t from = all > length ? length + 1 : length;
        percent_decode(at + from, all - from, value, room);
        return true;
    }
    value[0] = 0;
    return false;
}

static bool query_has(const char *query, const char *name) {
    char ignored[2];
    return query_value(query, name, ignored, sizeof ignored);
}

static enum method method_named(const char *name) {
    static const char *const names[] = {"GET", "HEAD", "PUT", "POST", "DELETE"};
    for (int i = 0; i < OTHER; i++)
        if (!strncmp(name, names[i], strlen(names[i])) && name[strlen(names[i])] == ' ') return i;
    return OTHER;
}

static void read_range(struct request *request, const char *value) {
    const char *from = strstr(value, "bytes=");
    char *rest;
    if (!from) return;
    from += 6;
    request->has_range = true;
    request->first = *from == '-' ? -1 : strtoll(from, &rest, 10);
    from = *from == '-' ? from : rest;
    request->last = *from == '-' && from[1] >= '0' && from[1] <= '9' ? strtoll(from + 1, NULL, 10) : -1;
}

static void copy_value(char *to, size_t room, const char *from) {
    from += strspn(from, " ");
    size_t length = strcspn(from, "\r\n");
    if (length >= room) length = room - 1;
    memcpy(to, from, length);
    to[length] = 0;
}

static void read_header(struct request *request, const char *line) {
    const char *value = strchr(line, ':');
    if (!value++) return;
#define IS(name) (!strncasecmp(line, name ":", sizeof name))
    if (IS("Content-Length")) request->length = strtoull(value, NULL, 10);
    else if (IS("Range")) read_range(request, value);
    else if (IS("Transfer-Encoding")) request->is_chunked = true;
    else if (IS("Expect")) request->expects_continue = true;
    else if (IS("Connection")) request->wants_close = !strncasecmp(value + strspn(value, " "), "close", 5);
    else if (IS("Content-MD5")) copy_value(request->md5, sizeof request->md5, value);
    else if (IS("x-amz-content-sha256")) copy_value(request->sha256, sizeof request->sha256, value);
#undef IS
}

static bool read_target(struct request *request, const char *target) {
    size_t path = strcspn(target, "? \r"), bucket = strlen(BUCKET);
    size_t query = target[path] == '?' ? strcspn(target + path + 1, " \r") : 0;
    if (target[0] != '/' || query >= sizeof request->query) return false;
    memcpy(request->query, target + path + 1, query);
    if (!strncmp(target, BUCKET, bucket) && (path == bucket || target[bucket] == '/')) {
        target += bucket;
        path -= bucket;
    }
    if (path) percent_decode(target + 1, path - 1, request->key, sizeof request->key);
    return true;
}

/* Read a whole head; false if it is none. */
static bool read_request(const char *head, struct request *request) {
    memset(request, 0, sizeof *request);
    request->first = request->last = -1;
    request->method = method_named(head);
    const char *target = strchr(head, ' ');
    if (!target || !read_target(request, target + 1)) return false;
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (*line == '\r') break;
        read_header(request, line);
    }
    return true;
}
#endif
