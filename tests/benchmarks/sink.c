/* sink: a server shaped like COS, for measuring clients.
 *
 *   sink --content FILE [--keys N] [--latency MS] [--rate MB] [--threads N] [--tls PEM]
 *       [--md5 SIZE:BASE64] [--damage in|out]
 *
 * It prints its port on loopback, and serves until its stdin ends. It takes objects and parts, throws
 * their bytes away and keeps their CRC-64; it serves objects named "blob-SIZE" out of FILE, again and
 * again; it lists N keys under "list/". `--latency` comes before every answer, and passes once before
 * a new connection is there, twice with TLS; `--rate` bounds each connection, either way. `--damage`
 * flips a bit in every body on its way in or out. TLS needs -DWITH_TLS -lssl -lcrypto.
 */
#define _GNU_SOURCE
#include "sink_damage.h"
#include "sink_reply.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum outcome { GO_ON, WAIT, GONE };

#define BACKLOG 1024

static const char *option_content, *option_pem;
static int option_threads = 1;
static struct worker *workers;
#ifdef WITH_TLS
static SSL_CTX *tls;
#endif

/* ---- a connection, step by step */

static void close_connection(struct worker *worker, struct connection *c) {
    stop_waiting(worker, c);
    set_busy(c, false);
#ifdef WITH_TLS
    digest_free(c);
    SSL_free(c->tls);
#endif
    close(c->fd);
    free(c->owned);
    free(c->list);
    free(c);
}

static enum outcome blocked(struct worker *worker, struct connection *c, ssize_t got, uint32_t events) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) return GONE;
    wait_for(worker, c, events);
    return WAIT;
}

static enum outcome shake_hands(struct worker *worker, struct connection *c) {
#ifdef WITH_TLS
    ERR_clear_error();
    int done = SSL_accept(c->tls);
    if (done != 1) {
        bool writes = SSL_get_error(c->tls, done) == SSL_ERROR_WANT_WRITE;
        return blocked(worker, c, tls_outcome(c, done), writes ? EPOLLOUT : EPOLLIN);
    }
#else
    (void)worker;
#endif
    c->state = READING_HEAD;
    return GO_ON;
}

static uint64_t latency_ns(struct connection *c) {
    uint64_t owed = c->owed;
    c->owed = 0;
    return (uint64_t)(option_latency_ms * 1e6) + owed;
}

static enum outcome begin_reply(struct worker *worker, struct connection *c) {
    if (digests_agree(c)) {
        reply_to(c, c->request.length, c->list ? c->list : "");
    } else {
        c->out_length = 0;
        c->piece_count = 1;
        reply_error(c, "400 Bad Request", "BadDigest");
        c->pieces[0] = (struct piece){c->out, 0, c->out_length};
    }
    free(c->list);
    c->list = NULL;
    c->state = REPLYING;
    c->allowed = now_ns();
    if (option_latency_ms <= 0) return GO_ON;
    c->state = WAITING;
    wait_until(worker, c, now_ns() + latency_ns(c));
    return WAIT;
}

static enum outcome begin_body(struct worker *worker, struct connection *c) {
    bool is_list = c->request.method == POST && c->request.length < 4 << 20;
    c->body_left = c->request.length;
    c->crc = 0;
    c->allowed = now_ns();
    begin_digests(c);
    if (is_list) c->list = calloc(1, c->request.length + 1);
    set_busy(c, c->request.length > SMALL);
    c->state = READING_BODY;
    if (!c->request.expects_continue || c->have) return GO_ON;
    c->state = WAITING_TO_CONTINUE;
    if (option_latency_ms <= 0) return GO_ON;
    wait_until(worker, c, now_ns() + latency_ns(c));
    return WAIT;
}

static enum outcome send_continue(struct connection *c) {
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    c->state = READING_BODY;
    c->allowed = now_ns();
    return transmit(c, line, sizeof line - 1, false) == sizeof line - 1 ? GO_ON : GONE;
}

static enum outcome read_head(struct worker *worker, struct connection *c) {
    char *end;
    while (c->head[c->have] = 0, !(end = strstr(c->head, "\r\n\r\n"))) {
        if (c->have == HEAD_ROOM) return GONE;
        ssize_t got = receive(c, c->head + c->have, HEAD_ROOM - c->have);
        if (got <= 0) return blocked(worker, c, got, EPOLLIN);
        c->have += (size_t)got;
    }
    if (!read_request(c->head, &c->request)) return GONE;
    size_t used = (size_t)(end + 4 - c->head);
    c->have -= used;
    memmove(c->head, c->head + used, c->have);
    /* A connection that stood a while before its first request has made its trips meanwhile. */
    uint64_t now = now_ns();
    c->owed = c->connected > now ? c->connected - now : 0;
    c->connected = 0;
    return begin_body(worker, c);
}

static void take(struct connection *c, char *bytes, size_t length) {
    if (damages(c)) damage(c, bytes, length);
    if (c->list) memcpy(c->list + (c->request.length - c->body_left), bytes, length);
    c->crc = crc64(c->crc, bytes, length);
    c->body_left -= length;
    count(&counters.bytes_in, length);
}

/* What came along with the head is the beginning of the body. */
static void take_early(struct connection *c) {
    size_t early = c->have < c->body_left ? c->have : (size_t)c->body_left;
    if (!early) return;
    take(c, c->head, early);
    c->have -= early;
    memmove(c->head, c->head + early, c->have);
}

static enum outcome read_body(struct worker *worker, struct connection *c) {
    take_early(c);
    for (int turn = 0; c->body_left; turn++) {
        if (is_over_rate(c)) {
            wait_until(worker, c, c->allowed);
            return WAIT;
        }
        if (turn == 8) { /* let the others in */
            wait_for(worker, c, EPOLLIN);
            return WAIT;
        }
        size_t room = c->body_left < step() ? (size_t)c->body_left : step();
        ssize_t got = receive(c, worker->scratch, room);
        if (got <= 0) return blocked(worker, c, got, EPOLLIN);
        take(c, worker->scratch, (size_t)got);
        count_rate(c, got);
    }
    return begin_reply(worker, c);
}

static enum outcome write_reply(struct worker *worker, struct connection *c) {
    for (int i = 0; i < c->piece_count; i++)
        while (c->pieces[i].left) {
            if (is_over_rate(c)) {
                wait_until(worker, c, c->allowed);
                return WAIT;
            }
            ssize_t sent = transmit_piece(c, &c->pieces[i], i + 1 < c->piece_count);
            if (sent <= 0) return blocked(worker, c, sent, EPOLLOUT);
            count(&counters.bytes_out, (uint64_t)sent);
            count_rate(c, sent);
        }
    set_busy(c, false);
    free(c->owned);
    c->owned = NULL;
    c->state = READING_HEAD;
    return c->request.wants_close ? GONE : GO_ON;
}

static enum outcome begin_sending(struct connection *c) {
    c->state = REPLYING;
    c->allowed = now_ns();
    return GO_ON;
}

static enum outcome one_step(struct worker *worker, struct connection *c) {
    switch (c->state) {
    case HANDSHAKE: return shake_hands(worker, c);
    case READING_HEAD: return read_head(worker, c);
    case READING_BODY: return read_body(worker, c);
    case WAITING_TO_CONTINUE: return send_continue(c);
    case WAITING: return begin_sending(c);
    case REPLYING: return write_reply(worker, c);
    }
    return GONE;
}

static void advance(struct worker *worker, struct connection *c) {
    enum outcome outcome;
    while ((outcome = one_step(worker, c)) == GO_ON) continue;
    if (outcome == GONE) close_connection(worker, c);
}

/* ---- the loop of a thread */

static void accept_all(struct worker *worker) {
    static unsigned next;
    for (int fd, one = 1; (fd = accept4(worker->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *c = calloc(1, sizeof *c);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        c->timer_slot = -1;
        uint64_t trips = 1 + (option_pem != NULL);
        c->connected = now_ns() + (uint64_t)(option_latency_ms * 1e6) * trips;
        c->state = READING_HEAD;
#ifdef WITH_TLS
        if (tls) {
            c->tls = SSL_new(tls);
            SSL_set_fd(c->tls, fd);
            c->state = HANDSHAKE;
        }
#endif
        c->events = EPOLLIN;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(workers[next++ % (unsigned)option_threads].epoll, EPOLL_CTL_ADD, fd, &event);
        count(&counters.connections, 1);
    }
}

static void wake_due(struct worker *worker) {
    uint64_t now = now_ns();
    for (int i = worker->waiting_count - 1; i >= 0; i--) {
        if (i >= worker->waiting_count || worker->waiting[i]->due > now) continue;
        struct connection *c = worker->waiting[i];
        stop_waiting(worker, c);
        advance(worker, c);
    }
}

static void *serve(void *argument) {
    struct worker *worker = argument;
    struct epoll_event events[256];
    for (;;) {
        if (worker->waiting_count) set_timer(worker);
        int ready = epoll_wait(worker->epoll, events, 256, -1);
        bool is_time = false;
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].data.ptr == worker) is_time = true;
            else if (!c) accept_all(worker);
            else if (c->timer_slot < 0) advance(worker, c);
            else if (events[i].events & (EPOLLERR | EPOLLHUP)) close_connection(worker, c);
        }
        uint64_t expirations;
        if (is_time && read(worker->timer, &expirations, sizeof expirations) > 0) wake_due(worker);
    }
    return NULL;
}

static void prepare_worker(struct worker *worker) {
    worker->scratch = malloc(STEP);
    worker->epoll = epoll_create1(0);
    worker->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = worker};
    epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->timer, &event);
}

/* ---- the beginning and the end */

static void fail(const char *what) {
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int listen_on_loopback(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), small = 256 * 1024;
    /* What waits in the kernel's buffer has left the client above its rate: let it be little. */
    if (option_rate_mb > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (option_rate_mb > 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, BACKLOG)) fail("listen");
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void load_content(void) {
    int file = open(option_content ? option_content : "", O_RDONLY);
    struct stat stat;
    if (file < 0 || fstat(file, &stat) || stat.st_size <= DAMAGED_BYTE) fail("--content");
    content_length = (uint64_t)stat.st_size;
    block = mmap(NULL, content_length, PROT_READ, MAP_PRIVATE, file, 0);
    content_fd = memfd_create("content", 0);
    if (content_fd < 0 || ftruncate(content_fd, stat.st_size)) fail("memfd");
    content = mmap(NULL, content_length, PROT_READ | PROT_WRITE, MAP_SHARED, content_fd, 0);
    if (block == MAP_FAILED || content == MAP_FAILED) fail("mmap");
    memcpy(content, block, content_length);
    if (!strcmp(option_damage, "out")) content[DAMAGED_BYTE] ^= 1;
    block_crc = crc64(0, block, content_length);
}

static void prepare_tls(void) {
    if (!option_pem) return;
#ifdef WITH_TLS
    tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(tls, option_pem) == 1 &&
        SSL_CTX_use_PrivateKey_file(tls, option_pem, SSL_FILETYPE_PEM) == 1)
        return;
    ERR_print_errors_fp(stderr);
#endif
    fprintf(stderr, "sink: --tls: built without OpenSSL, or not a certificate with its key\n");
    exit(1);
}

static void read_options(int count, char **values) {
    long keys = 0;
    for (int i = 1; i < count; i += 2) {
        const char *name = values[i], *value = i + 1 < count ? values[i + 1] : "";
        if (!strcmp(name, "--content")) option_content = value;
        else if (!strcmp(name, "--keys")) keys = atol(value);
        else if (!strcmp(name, "--latency")) option_latency_ms = atof(value);
        else if (!strcmp(name, "--rate")) option_rate_mb = atof(value);
        else if (!strcmp(name, "--threads")) option_threads = atoi(value) > 0 ? atoi(value) : 1;
        else if (!strcmp(name, "--tls")) option_pem = value;
        else if (!strcmp(name, "--damage")) option_damage = value;
        else if (!strcmp(name, "--md5") && (option_md5 = strchr(value, ':'))) {
            option_md5_size = strtoull(value, NULL, 10);
            option_md5++;
        }
        else {
            fprintf(stderr, "sink: %s is no option\n", name);
            exit(2);
        }
    }
    listing_prepare(keys);
}

int main(int argument_count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    crc64_prepare();
    read_options(argument_count, arguments);
    load_content();
    prepare_tls();
    workers = calloc((size_t)option_threads, sizeof *workers);
    for (int i = 0; i < option_threads; i++) prepare_worker(&workers[i]);
    workers[0].listener = listen_on_loopback();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(workers[0].epoll, EPOLL_CTL_ADD, workers[0].listener, &event);
    for (int i = 0; i < option_threads; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, serve, &workers[i]);
    }
    for (char ignored[64]; read(0, ignored, sizeof ignored) > 0;) continue;
    return 0;
}
