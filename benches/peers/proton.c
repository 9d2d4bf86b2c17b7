/* The cases with Proton's C library: `proton CASE COUNT`.
 *
 * Proton has a public codec for messages (pn_message_t) and for values (pn_data_t), none for frames: the transfer cases
 * are the message only, and the performatives are values of pn_data_t, with the frame's header written and skipped by
 * hand. The line of JSON says so. */

#define _GNU_SOURCE
#include <proton/codec.h>
#include <proton/message.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/inputs.h"

#define BUFFER (64 * 1024)
#define DATA 1024
#define MESSAGE_ID "message-000001"
#define TO "/devices/device-1/messages/devicebound"
#define CORRELATION_ID "correlation-1"
#define CONTENT_TYPE "application/json"

/* Heap allocations: the library's calls come here, as an executable's definitions go before libc's. Only in a build
 * with COUNT_ALLOCATIONS, as counting costs instructions. */

static unsigned long allocations;

#ifdef COUNT_ALLOCATIONS
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    allocations++;
    return __libc_realloc(old, size);
}
#endif

/* A program is stopped at the first thing that is not as expected. */
#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

static void fail(const char *condition, int line) {
    fprintf(stderr, "line %d: not so: %s\n", line, condition);
    exit(1);
}

/* What a case works with: all of it made before it is measured. */
typedef struct {
    size_t count;
    pn_message_t *message;
    pn_data_t *data;
    char *out;             /* BUFFER octets */
    char *in;              /* the buffers of frames (of messages), one after another */
    size_t per_buffer;     /* frames of a buffer */
    size_t octets;         /* of one operation */
    bool (*read)(pn_data_t *);
    bool full;
} Case;

typedef void (*Work)(Case *);

__attribute__((noinline)) static void measured(Work work, Case *with) {
    work(with);
    __asm__ volatile("" ::: "memory");
}

static void keep(const void *value) {
    __asm__ volatile("" ::"r"(value) : "memory");
}

static pn_bytes_t text(const char *text) {
    return pn_bytes(strlen(text), text);
}

static bool is(pn_bytes_t bytes, const char *expected) {
    return bytes.size == strlen(expected) && memcmp(bytes.start, expected, bytes.size) == 0;
}

/* Messages */

static void make_message(Case *with) {
    static char data[DATA];
    memset(data, 'x', sizeof data);
    pn_message_t *message = with->message;
    pn_atom_t id = {.type = PN_STRING, .u.as_bytes = text(MESSAGE_ID)};
    CHECK(pn_message_set_durable(message, true) == 0);
    CHECK(pn_message_set_id(message, id) == 0);
    CHECK(pn_message_set_address(message, TO) == 0);
    id.u.as_bytes = text(CORRELATION_ID);
    CHECK(pn_message_set_correlation_id(message, id) == 0);
    CHECK(pn_message_set_content_type(message, CONTENT_TYPE) == 0);
    pn_data_t *properties = pn_message_properties(message);
    pn_data_put_map(properties);
    pn_data_enter(properties);
    for (int n = 0; n < 5; n++) {
        char name[16];
        snprintf(name, sizeof name, "property-%d", n);
        pn_data_put_string(properties, text(name));
        pn_data_put_int(properties, n);
    }
    pn_data_exit(properties);
    CHECK(pn_message_set_inferred(message, true) == 0); /* a binary is a data section */
    CHECK(pn_data_put_binary(pn_message_body(message), pn_bytes(sizeof data, data)) == 0);
}

static void encode_message(Case *with) {
    for (size_t n = 0; n < with->count; n++) {
        size_t size = BUFFER;
        CHECK(pn_message_encode(with->message, with->out, &size) == 0);
        keep(with->out);
        with->octets = size;
    }
}

/* One application property by its name. */
static bool read_property(pn_message_t *message, const char *name, int32_t expected) {
    pn_data_t *properties = pn_message_properties(message);
    pn_data_rewind(properties);
    return pn_data_next(properties) && pn_data_enter(properties) && pn_data_lookup(properties, name) &&
           pn_data_type(properties) == PN_INT && pn_data_get_int(properties) == expected;
}

static bool read_body(pn_message_t *message) {
    pn_data_t *body = pn_message_body(message);
    pn_data_rewind(body);
    return pn_data_next(body) && pn_data_type(body) == PN_BINARY && pn_data_get_binary(body).size == DATA;
}

static void decode_message(Case *with) {
    pn_message_t *message = with->message;
    for (size_t n = 0; n < with->count; n++) {
        const char *at = with->in + n / with->per_buffer * BUFFER + n % with->per_buffer * with->octets;
        CHECK(pn_message_decode(message, at, with->octets) == 0);
        pn_atom_t id = pn_message_get_id(message);
        pn_atom_t correlation_id = pn_message_get_correlation_id(message);
        const char *to = pn_message_get_address(message);
        const char *content_type = pn_message_get_content_type(message);
        CHECK(id.type == PN_STRING && correlation_id.type == PN_STRING && to && content_type);
        keep(&id), keep(&correlation_id), keep(to), keep(content_type);
        CHECK(read_property(message, "property-3", 3));
        if (with->full) CHECK(pn_message_is_durable(message) && read_body(message));
    }
}

/* After what is measured: the last message that was decoded is the one that was meant. */
static void check_message(pn_message_t *message) {
    CHECK(is(pn_message_get_id(message).u.as_bytes, MESSAGE_ID));
    CHECK(is(pn_message_get_correlation_id(message).u.as_bytes, CORRELATION_ID));
    CHECK(strcmp(pn_message_get_address(message), TO) == 0);
    CHECK(strcmp(pn_message_get_content_type(message), CONTENT_TYPE) == 0);
    CHECK(pn_message_is_durable(message) && read_body(message));
}

/* Performatives */

static void begin(pn_data_t *data, uint64_t descriptor) {
    pn_data_put_described(data);
    pn_data_enter(data);
    pn_data_put_ulong(data, descriptor);
    pn_data_put_list(data);
    pn_data_enter(data);
}

static void end(pn_data_t *data) {
    pn_data_exit(data);
    pn_data_exit(data);
}

static void make_flow(pn_data_t *data) {
    static const uint32_t fields[] = {1000, 2048, 2000, 2048, 1, 1000, 500};
    begin(data, 0x13);
    for (size_t n = 0; n < sizeof fields / sizeof *fields; n++) pn_data_put_uint(data, fields[n]);
    end(data);
}

static void make_disposition(pn_data_t *data) {
    begin(data, 0x15);
    pn_data_put_bool(data, true);
    pn_data_put_uint(data, 1000);
    pn_data_put_uint(data, 1063);
    pn_data_put_bool(data, true);
    begin(data, 0x24);
    end(data);
    end(data);
}

static void make_terminus(pn_data_t *data, uint64_t descriptor, const char *address) {
    begin(data, descriptor);
    pn_data_put_string(data, text(address));
    end(data);
}

static void make_attach(pn_data_t *data) {
    begin(data, 0x12);
    pn_data_put_string(data, text("link-000001"));
    pn_data_put_uint(data, 1);
    pn_data_put_bool(data, false);
    pn_data_put_ubyte(data, 0);
    pn_data_put_ubyte(data, 0);
    make_terminus(data, 0x28, "client-1");
    make_terminus(data, 0x29, TO);
    pn_data_put_null(data);
    pn_data_put_null(data);
    pn_data_put_uint(data, 0);
    pn_data_put_ulong(data, 262144);
    end(data);
}

static void encode_data(Case *with) {
    for (size_t n = 0; n < with->count; n++) {
        ssize_t size = pn_data_encode(with->data, with->out + 8, BUFFER - 8);
        CHECK(size > 0);
        size += 8;
        char header[8] = {(char)(size >> 24), (char)(size >> 16), (char)(size >> 8), (char)size, 2, 0, 0, 0};
        memcpy(with->out, header, sizeof header);
        keep(with->out);
        with->octets = (size_t)size;
    }
}

/* Enters a described list with this descriptor. */
static bool enter(pn_data_t *data, uint64_t descriptor) {
    return pn_data_type(data) == PN_DESCRIBED && pn_data_enter(data) && pn_data_next(data) &&
           pn_data_type(data) == PN_ULONG && pn_data_get_ulong(data) == descriptor && pn_data_next(data) &&
           pn_data_type(data) == PN_LIST && pn_data_enter(data);
}

static void leave(pn_data_t *data) {
    pn_data_exit(data);
    pn_data_exit(data);
}

static uint32_t next_uint(pn_data_t *data) {
    return pn_data_next(data) && pn_data_type(data) == PN_UINT ? pn_data_get_uint(data) : 0;
}

static bool next_bool(pn_data_t *data) {
    return pn_data_next(data) && pn_data_type(data) == PN_BOOL && pn_data_get_bool(data);
}

static pn_bytes_t next_string(pn_data_t *data) {
    return pn_data_next(data) && pn_data_type(data) == PN_STRING ? pn_data_get_string(data) : pn_bytes(0, NULL);
}

static bool read_flow(pn_data_t *data) {
    uint32_t fields[7];
    if (!enter(data, 0x13)) return false;
    for (size_t n = 0; n < 7; n++) fields[n] = next_uint(data);
    keep(fields);
    return fields[6] == 500 && !pn_data_next(data);
}

static bool read_disposition(pn_data_t *data) {
    if (!enter(data, 0x15)) return false;
    bool role = next_bool(data);
    uint32_t first = next_uint(data), last = next_uint(data);
    bool settled = next_bool(data);
    return role && first == 1000 && last == 1063 && settled && pn_data_next(data) && enter(data, 0x24);
}

static bool read_terminus(pn_data_t *data, uint64_t descriptor, const char *expected) {
    if (!pn_data_next(data) || !enter(data, descriptor)) return false;
    bool same = is(next_string(data), expected);
    leave(data);
    return same;
}

static bool read_attach(pn_data_t *data) {
    if (!enter(data, 0x12)) return false;
    bool name = is(next_string(data), "link-000001");
    uint32_t handle = next_uint(data);
    bool role = next_bool(data);
    bool modes = pn_data_next(data) && pn_data_get_ubyte(data) == 0 && pn_data_next(data) && pn_data_get_ubyte(data) == 0;
    bool termini = read_terminus(data, 0x28, "client-1") && read_terminus(data, 0x29, TO);
    bool unsettled = pn_data_next(data) && pn_data_is_null(data) && pn_data_next(data) && pn_data_is_null(data);
    uint32_t delivery_count = next_uint(data);
    return name && handle == 1 && !role && modes && termini && unsettled && delivery_count == 0 && pn_data_next(data) &&
           pn_data_get_ulong(data) == 262144;
}

static void decode_data(Case *with) {
    pn_data_t *data = with->data;
    for (size_t n = 0; n < with->count; n++) {
        const unsigned char *at =
            (const unsigned char *)with->in + n / with->per_buffer * BUFFER + n % with->per_buffer * with->octets;
        size_t size = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
        pn_data_clear(data);
        CHECK(pn_data_decode(data, (const char *)at + 8, size - 8) == (ssize_t)size - 8);
        pn_data_rewind(data);
        CHECK(pn_data_next(data) && with->read(data));
    }
}

/* The octets to be decoded */

/* As many buffers of BUFFER octets as hold the count of these, and `extra` times 'x' after each. */
static void fill(Case *with, const char *digits, size_t extra) {
    size_t given = strlen(digits) / 2;
    with->octets = given + extra;
    char *one = malloc(with->octets);
    CHECK(one);
    for (size_t n = 0; n < given; n++) {
        char pair[3] = {digits[2 * n], digits[2 * n + 1], 0};
        one[n] = (char)strtoul(pair, NULL, 16);
    }
    memset(one + given, 'x', extra);
    with->per_buffer = BUFFER / with->octets;
    size_t buffers = (with->count + with->per_buffer - 1) / with->per_buffer;
    with->in = malloc(buffers * BUFFER);
    CHECK(with->in);
    for (size_t n = 0; n < with->count; n++)
        memcpy(with->in + n / with->per_buffer * BUFFER + n % with->per_buffer * with->octets, one, with->octets);
    free(one);
}

static Work prepare(Case *with, const char *name) {
    if (strcmp(name, "encode-transfer") == 0) return make_message(with), encode_message;
    if (strcmp(name, "decode-transfer-view") == 0) return fill(with, MESSAGE, DATA), decode_message;
    if (strcmp(name, "decode-transfer-full") == 0) {
        with->full = true;
        return fill(with, MESSAGE, DATA), decode_message;
    }
    if (strcmp(name, "encode-flow") == 0) return make_flow(with->data), encode_data;
    if (strcmp(name, "encode-disposition") == 0) return make_disposition(with->data), encode_data;
    if (strcmp(name, "encode-attach") == 0) return make_attach(with->data), encode_data;
    if (strcmp(name, "decode-flow") == 0) return with->read = read_flow, fill(with, FLOW, 0), decode_data;
    if (strcmp(name, "decode-disposition") == 0)
        return with->read = read_disposition, fill(with, DISPOSITION, 0), decode_data;
    if (strcmp(name, "decode-attach") == 0) return with->read = read_attach, fill(with, ATTACH, 0), decode_data;
    return NULL;
}

int main(int argc, char **argv) {
    Case with = {.count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0};
    if (with.count == 0) return fprintf(stderr, "usage: proton CASE COUNT\n"), 2;
    with.message = pn_message();
    with.data = pn_data(16);
    with.out = malloc(BUFFER);
    CHECK(with.message && with.data && with.out);
    Work work = prepare(&with, argv[1]);
    if (!work) return fprintf(stderr, "no such case: %s\n", argv[1]), 2;
    unsigned long before = allocations;
    measured(work, &with);
    unsigned long made = allocations - before;
    if (work == decode_message) check_message(with.message);
    printf("{\"case\":\"%s\",\"count\":%zu,\"allocations\":%lu", argv[1], with.count, made);
    if (strncmp(argv[1], "encode-", 7) == 0) printf(",\"octets\":%zu", with.octets);
    printf(",\"note\":\"%s\"}\n", strstr(argv[1], "transfer") ? "message only" : "as pn_data");
    pn_message_free(with.message);
    pn_data_free(with.data);
    free(with.out);
    free(with.in);
    return 0;
}
