/* What the sink answers: from a whole request, its body's length and checksum, to a reply.
 *
 * In: a connection with a request. Out: the pieces of its reply, and what the request changed in
 * the store. Signatures are not looked at: what they cost a client is measured all the same.
 */
#ifndef SINK_REPLY_H
#define SINK_REPLY_H
#include "sink_connection.h"
#include "sink_store.h"
#include <stdarg.h>
#include <sys/resource.h>

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define SMALL (64 * 1024)

static struct counters {
    uint64_t requests, parts, bytes_in, bytes_out, connections, busy, most_busy;
} counters;
static uint64_t block_crc; /* of the content, as it ought to be */
static const char *block;

static void count(uint64_t *counter, uint64_t more) { __atomic_fetch_add(counter, more, __ATOMIC_RELAXED); }

static void set_busy(struct connection *c, bool is_busy) {
    if (c->is_busy == is_busy) return;
    c->is_busy = is_busy;
    uint64_t busy = __atomic_add_fetch(&counters.busy, is_busy ? 1 : -1, __ATOMIC_RELAXED);
    if (is_busy && busy > counters.most_busy) counters.most_busy = busy;
}

/* ---- writing a reply */

static void say(struct connection *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct connection *c, const char *format, ...) {
    va_list values;
    va_start(values, format);
    size_t room = OUT_ROOM - c->out_length;
    int length = vsnprintf(c->out + c->out_length, room, format, values);
    va_end(values);
    c->out_length += (size_t)length < room ? (size_t)length : room - 1;
}

static const char *date(void) {
    static __thread time_t when;
    static __thread char text[40];
    time_t now = time(NULL);
    struct tm parts;
    if (now != when) strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    when = now;
    return text;
}

static void begin(struct connection *c, const char *status, uint64_t length) {
    say(c,
        "HTTP/1.1 %s\r\nServer: tencent-cos\r\nDate: %s\r\nConnection: keep-alive\r\n"
        "x-cos-request-id: NmExYjJjM2RfNGU1ZjYwNzBfODE5Mg==\r\n",
        status, date());
    if (strncmp(status, "204", 3)) say(c, "Content-Length: %llu\r\n", (unsigned long long)length);
}

static void say_stored(struct connection *c, struct stored object) {
    char etag[ETAG_SIZE];
    store_etag(object, etag);
    say(c, "ETag: \"%s\"\r\nx-cos-hash-crc64ecma: %llu\r\n", etag, (unsigned long long)object.crc);
}

static void add_piece(struct connection *c, const char *at, uint64_t offset, uint64_t length) {
    if (length) c->pieces[c->piece_count++] = (struct piece){at, offset, length};
}

static void reply_xml(struct connection *c, const char *status, const char *body) {
    begin(c, status, strlen(body));
    say(c, "Content-Type: application/xml\r\n\r\n");
    if (c->request.method != HEAD) say(c, "%s", body);
}

static void reply_error(struct connection *c, const char *status, const char *code) {
    char body[256];
    snprintf(body, sizeof body, XML "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code);
    reply_xml(c, status, body);
}

static void reply_text(struct connection *c, char *text, size_t length) {
    c->owned = text;
    begin(c, "200 OK", length);
    say(c, "Content-Type: text/plain\r\n\r\n");
    add_piece(c, text, 0, length);
}

/* ---- for the harness: "-/stats", "-/objects", "-/reset" */

static void reply_stats(struct connection *c) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    char *text = malloc(512);
    int length = snprintf(
        text, 512,
        "{\"requests\": %llu, \"parts\": %llu, \"bytes_in\": %llu, \"bytes_out\": %llu, "
        "\"connections\": %llu, \"most_busy\": %llu, \"cpu_s\": %.4f}",
        (unsigned long long)counters.requests, (unsigned long long)counters.parts,
        (unsigned long long)counters.bytes_in, (unsigned long long)counters.bytes_out,
        (unsigned long long)counters.connections, (unsigned long long)counters.most_busy, cpu_s);
    reply_text(c, text, (size_t)length);
}

static void reply_to_harness(struct connection *c) {
    size_t length;
    if (!strcmp(c->request.key, "-/objects")) {
        char *text = store_describe(&length);
        reply_text(c, text, length);
        return;
    }
    reply_stats(c);
    if (strcmp(c->request.key, "-/reset")) return;
    counters = (struct counters){0};
    store_clear();
}

/* ---- objects */

/* The checksum of an object of so many bytes of content. */
static uint64_t content_crc(uint64_t size) {
    static struct { uint64_t size, crc; } known[32];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int next;
    uint64_t crc = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 32; i++)
        if (known[i].size == size && size) {
            crc = known[i].crc;
            pthread_mutex_unlock(&lock);
            return crc;
        }
    for (uint64_t whole = size / content_length; whole; whole--)
        crc = crc64_combine(crc, block_crc, content_length);
    uint64_t rest = size % content_length;
    crc = crc64_combine(crc, crc64(0, block, rest), rest);
    known[next].size = size;
    known[next].crc = crc;
    next = (next + 1) % 32;
    pthread_mutex_unlock(&lock);
    return crc;
}

/* An object named "...blob-SIZE" is there without having been stored; its bytes can be had. */
static struct stored find_object(const char *key, bool *has_bytes) {
    const char *blob = strstr(key, "blob-");
    *has_bytes = blob != NULL;
    if (!blob) return store_get(key);
    uint64_t size = strtoull(blob + 5, NULL, 10);
    return (struct stored){size, content_crc(size), true};
}

/* Where the range begins, and how long it is; 0 if it lies outside. */
static uint64_t range_of(const struct request *request, uint64_t size, uint64_t *length) {
    uint64_t first = 0, last = size - 1;
    if (request->has_range && request->first < 0)
        first = (uint64_t)request->last < size ? size - (uint64_t)request->last : 0;
    else if (request->has_range) {
        first = (uint64_t)request->first;
        if (request->last >= 0 && (uint64_t)request->last < last) last = (uint64_t)request->last;
    }
    *length = first < size && first <= last ? last - first + 1 : 0;
    return first;
}

static void send_content(struct connection *c, uint64_t from, uint64_t length) {
    uint64_t at = from % content_length;
    if (length <= SMALL && at + length <= content_length) {
        memcpy(c->out + c->out_length, content + at, length);
        c->out_length += length;
    } else {
        set_busy(c, true);
        add_piece(c, NULL, from, length);
    }
}

static void reply_object(struct connection *c) {
    bool has_bytes;
    struct stored object = find_object(c->request.key, &has_bytes);
    uint64_t length = 0, from = object.size ? range_of(&c->request, object.size, &length) : 0;
    if (!object.is_there || (!has_bytes && c->request.method == GET)) {
        reply_error(c, "404 Not Found", "NoSuchKey");
        return;
    }
    if (c->request.has_range && !length) {
        reply_error(c, "416 Requested Range Not Satisfiable", "InvalidRange");
        return;
    }
    begin(c, c->request.has_range ? "206 Partial Content" : "200 OK", length);
    if (c->request.has_range)
        say(c, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)from,
            (unsigned long long)(from + length - 1), (unsigned long long)object.size);
    say_stored(c, object);
    if (option_md5 && object.size == option_md5_size) say(c, "x-amz-meta-md5chksum: %s\r\n", option_md5);
    say(c,
        "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n"
        "Last-Modified: Sun, 17 May 2026 08:30:00 GMT\r\n\r\n");
    if (c->request.method == GET) send_content(c, from, length);
}

static void reply_stored(struct connection *c, uint64_t size) {
    char id[32], number[16];
    struct stored object = {size, c->crc, true};
    if (query_value(c->request.query, "uploadId", id, sizeof id) &&
        query_value(c->request.query, "partNumber", number, sizeof number)) {
        if (!store_put_part(strtoull(id, NULL, 16), atol(number), object)) {
            reply_error(c, "404 Not Found", "NoSuchUpload");
            return;
        }
        count(&counters.parts, 1);
    } else {
        store_put(c->request.key, object);
    }
    begin(c, "200 OK", 0);
    say_stored(c, object);
    say(c, "\r\n");
}

static void reply_upload_begun(struct connection *c) {
    char body[512];
    snprintf(body, sizeof body,
             XML "<InitiateMultipartUploadResult><Bucket>bench-1250000000</Bucket><Key>key</Key>"
                 "<UploadId>%llx</UploadId></InitiateMultipartUploadResult>",
             (unsigned long long)store_begin_upload());
    reply_xml(c, "200 OK", body);
}

static void reply_upload_completed(struct connection *c, const char *id, const char *list) {
    char body[512], etag[ETAG_SIZE];
    struct stored whole = store_complete(strtoull(id, NULL, 16), list);
    if (!whole.is_there) {
        reply_error(c, "400 Bad Request", "InvalidPart");
        return;
    }
    store_put(c->request.key, whole);
    store_etag(whole, etag);
    int length = snprintf(body, sizeof body,
                          XML "<CompleteMultipartUploadResult><Location>http://127.0.0.1/key</Location>"
                              "<Bucket>bench-1250000000</Bucket><Key>key</Key>"
                              "<ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
                          etag);
    begin(c, "200 OK", (uint64_t)length);
    say(c, "x-cos-hash-crc64ecma: %llu\r\nContent-Type: application/xml\r\n\r\n%s",
        (unsigned long long)whole.crc, body);
}

/* ---- listings */

static void reply_listing(struct connection *c) {
    const char *query = c->request.query;
    char prefix[512], marker[512], most[16], encoding[8], head[4096];
    bool is_second = query_has(query, "list-type");
    bool is_encoded = query_value(query, "encoding-type", encoding, sizeof encoding);
    query_value(query, "prefix", prefix, sizeof prefix);
    if (!query_value(query, is_second ? "continuation-token" : "marker", marker, sizeof marker) && is_second)
        query_value(query, "start-after", marker, sizeof marker);
    long page = query_value(query, "max-keys", most, sizeof most) ? atol(most) : 1000;
    if (page > 1000 || page < 1) page = 1000;
    long first = listing_start(prefix, marker), end = listing_end(prefix);
    if (first > end) first = end;
    bool is_cut = end - first > page;
    if (is_cut) end = first + page;
    char next[128] = "", cut[256] = "";
    const char *tag = is_second ? "NextContinuationToken" : "NextMarker";
    if (is_cut) listing_key(end - 1, is_encoded, next);
    if (is_cut) snprintf(cut, sizeof cut, "<%s>%s</%s>", tag, next, tag);
    int length = snprintf(head, sizeof head,
                          XML "<ListBucketResult><Name>bench-1250000000</Name>%s<Prefix>%s</Prefix>%s"
                              "<MaxKeys>%ld</MaxKeys><KeyCount>%ld</KeyCount><IsTruncated>%s</IsTruncated>%s",
                          is_encoded ? "<EncodingType>url</EncodingType>" : "", prefix,
                          is_second ? "" : "<Marker></Marker>", page, end - first,
                          is_cut ? "true" : "false", cut);
    const struct rows *rows = is_encoded ? &listing_encoded : &listing_plain;
    uint64_t body = end > first ? rows->at[end] - rows->at[first] : 0;
    begin(c, "200 OK", (uint64_t)length + body + 19);
    say(c, "Content-Type: application/xml\r\n\r\n%s", head);
    if (body) add_piece(c, rows->text + rows->at[first], 0, body);
    add_piece(c, "</ListBucketResult>", 0, 19);
}

static void reply_bucket(struct connection *c) {
    const char *query = c->request.query;
    if (c->request.method == HEAD) {
        begin(c, "200 OK", 0);
        say(c, "x-cos-bucket-region: ap-guangzhou\r\n\r\n");
    } else if (query_has(query, "location")) {
        reply_xml(c, "200 OK", XML "<LocationConstraint>ap-guangzhou</LocationConstraint>");
    } else if (query_has(query, "uploads")) {
        reply_xml(c, "200 OK",
                  XML "<ListMultipartUploadsResult><Bucket>bench-1250000000</Bucket><MaxUploads>1000"
                      "</MaxUploads><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>");
    } else if (query_has(query, "versioning")) {
        reply_xml(c, "200 OK", XML "<VersioningConfiguration></VersioningConfiguration>");
    } else {
        reply_listing(c);
    }
}

static void reply_post(struct connection *c, const char *body) {
    char id[32];
    if (query_has(c->request.query, "uploads"))
        reply_upload_begun(c);
    else if (query_value(c->request.query, "uploadId", id, sizeof id))
        reply_upload_completed(c, id, body);
    else
        reply_error(c, "501 Not Implemented", "NotImplemented");
}

static void reply_delete(struct connection *c) {
    char id[32];
    if (query_value(c->request.query, "uploadId", id, sizeof id))
        store_end_upload(strtoull(id, NULL, 16));
    else
        store_delete(c->request.key);
    begin(c, "204 No Content", 0);
    say(c, "\r\n");
}

static void reply_to(struct connection *c, uint64_t size, const char *body) {
    const struct request *request = &c->request;
    c->out_length = 0;
    c->piece_count = 1; /* the first is what `say` writes */
    if (!strncmp(request->key, "-/", 2)) reply_to_harness(c);
    else if (request->is_chunked) reply_error(c, "411 Length Required", "MissingContentLength");
    else if (request->method == PUT) reply_stored(c, size);
    else if (request->method == POST) reply_post(c, body);
    else if (request->method == DELETE) reply_delete(c);
    else if (request->method == OTHER) reply_error(c, "405 Method Not Allowed", "MethodNotAllowed");
    else if (!request->key[0]) reply_bucket(c);
    else reply_object(c);
    c->pieces[0] = (struct piece){c->out, 0, c->out_length};
    count(&counters.requests, 1);
}
#endif
