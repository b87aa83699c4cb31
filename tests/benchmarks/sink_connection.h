/* Connections of the sink: bytes in and out, with TLS or without, at a bounded rate; and the moments
 * at which connections that wait go on.
 *
 * In: sockets. Out: bytes, or -1 and errno as recv and send have it (EAGAIN: wait for the socket).
 */
#ifndef SINK_CONNECTION_H
#define SINK_CONNECTION_H
#include "sink_http.h"
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#endif

#define HEAD_ROOM 16384
#define OUT_ROOM (72 * 1024)
#define STEP (256 * 1024)
#define CAPPED_STEP (64 * 1024)
#define BEHIND_NS 10000000ull /* what a capped connection may catch up on, when it was kept waiting */

enum state { HANDSHAKE, READING_HEAD, READING_BODY, WAITING_TO_CONTINUE, WAITING, REPLYING };

/* Bytes still to send: memory, or content from an offset on when `at` is NULL. */
struct piece { const char *at; uint64_t offset, left; };

struct connection {
    int fd, timer_slot;
    uint32_t events;
    uint64_t due, allowed, connected, owed;
    enum state state;
    bool is_busy;
#ifdef WITH_TLS
    SSL *tls;
    EVP_MD_CTX *md5, *sha256;
#endif
    size_t have, out_length;
    uint64_t body_left, crc;
    struct request request;
    struct piece pieces[4];
    int piece_count;
    char *owned; /* freed once the reply is sent */
    char *list;  /* the body of a POST */
    char head[HEAD_ROOM + 1], out[OUT_ROOM];
};

struct worker {
    int epoll, timer, listener;
    struct connection **waiting;
    int waiting_count, waiting_room;
    char *scratch;
};

static double option_latency_ms, option_rate_mb;
static uint64_t option_md5_size; /* objects of this size say their MD5, as rclone notes it down */
static const char *option_md5;
static int content_fd;
static char *content;
static uint64_t content_length;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* ---- waiting for sockets and for time */

static void wait_for(struct worker *worker, struct connection *c, uint32_t events) {
    if (c->events == events) return;
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(worker->epoll, EPOLL_CTL_MOD, c->fd, &event);
    c->events = events;
}

static void wait_until(struct worker *worker, struct connection *c, uint64_t due) {
    wait_for(worker, c, 0);
    if (worker->waiting_count == worker->waiting_room) {
        worker->waiting_room = worker->waiting_room * 2 + 64;
        worker->waiting = realloc(worker->waiting, (size_t)worker->waiting_room * sizeof c);
    }
    c->due = due;
    c->timer_slot = worker->waiting_count;
    worker->waiting[worker->waiting_count++] = c;
}

static void stop_waiting(struct worker *worker, struct connection *c) {
    if (c->timer_slot < 0) return;
    struct connection *last = worker->waiting[--worker->waiting_count];
    worker->waiting[c->timer_slot] = last;
    last->timer_slot = c->timer_slot;
    c->timer_slot = -1;
}

static void set_timer(struct worker *worker) {
    uint64_t first = 0;
    for (int i = 0; i < worker->waiting_count; i++)
        if (!first || worker->waiting[i]->due < first) first = worker->waiting[i]->due;
    struct itimerspec at = {.it_value = {(time_t)(first / 1000000000), (long)(first % 1000000000)}};
    if (first) timerfd_settime(worker->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* ---- the rate of one connection */

static bool is_over_rate(const struct connection *c) { return option_rate_mb > 0 && c->allowed > now_ns(); }

static void count_rate(struct connection *c, ssize_t moved) {
    if (option_rate_mb <= 0) return;
    uint64_t earliest = now_ns() - BEHIND_NS;
    if (c->allowed < earliest) c->allowed = earliest;
    c->allowed += (uint64_t)((double)moved * 1000 / option_rate_mb);
}

static size_t step(void) { return option_rate_mb > 0 ? CAPPED_STEP : STEP; }

/* ---- bytes */

#ifdef WITH_TLS
static ssize_t tls_outcome(struct connection *c, int outcome) {
    if (outcome > 0) return outcome;
    int reason = SSL_get_error(c->tls, outcome);
    bool waits = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
    errno = waits ? EAGAIN : ECONNRESET;
    return reason == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}
#endif

static ssize_t receive(struct connection *c, char *to, size_t room) {
#ifdef WITH_TLS
    if (c->tls) {
        ERR_clear_error();
        return tls_outcome(c, SSL_read(c->tls, to, (int)room));
    }
#endif
    return recv(c->fd, to, room, 0);
}

static ssize_t transmit(struct connection *c, const char *from, size_t length, bool is_more) {
#ifdef WITH_TLS
    if (c->tls) {
        ERR_clear_error();
        return tls_outcome(c, SSL_write(c->tls, from, (int)length));
    }
#endif
    return send(c->fd, from, length, MSG_NOSIGNAL | (is_more ? MSG_MORE : 0));
}

/* Content is one block, again and again: no two parts of an object are alike. */
static ssize_t transmit_content(struct connection *c, uint64_t offset, size_t length) {
    off_t at = (off_t)(offset % content_length);
    if (length > content_length - (uint64_t)at) length = content_length - (uint64_t)at;
#ifdef WITH_TLS
    if (c->tls) return transmit(c, content + at, length, false);
#endif
    return sendfile(c->fd, content_fd, &at, length);
}

static ssize_t transmit_piece(struct connection *c, struct piece *piece, bool is_more) {
    size_t length = piece->left < step() ? (size_t)piece->left : step();
    ssize_t sent = piece->at ? transmit(c, piece->at + piece->offset, length, is_more)
                             : transmit_content(c, piece->offset, length);
    if (sent > 0) {
        piece->offset += (uint64_t)sent;
        piece->left -= (uint64_t)sent;
    }
    return sent;
}
#endif
