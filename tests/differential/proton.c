/* Reads octets with Qpid Proton and says what it made of them.
 *
 * In, per batch:  u32 number of inputs, u32 octets that follow; per input u8 mode, u32 length, the octets.
 * Out, per batch: u32 octets that follow; per input u8 verdict (1 accepted), u32 octets consumed, u32 length, dump.
 * Mode 0 reads one value, mode 1 reads a message. All numbers are big-endian. The dump is described in src/dump.rs.
 */
#include <proton/codec.h>
#include <proton/message.h>
#include <proton/version.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *out;
static size_t out_len, out_cap;

static void *checked(void *memory) {
  if (!memory) {
    fputs("out of memory\n", stderr);
    exit(3);
  }
  return memory;
}

static void put(const void *octets, size_t len) {
  if (out_len + len > out_cap) {
    while (out_len + len > out_cap) out_cap = out_cap ? out_cap * 2 : 1 << 16;
    out = checked(realloc(out, out_cap));
  }
  if (len) memcpy(out + out_len, octets, len);
  out_len += len;
}

static void put_number(uint64_t number, size_t width) {
  uint8_t octets[8];
  for (size_t i = 0; i < width; i++) octets[i] = (uint8_t)(number >> (8 * (width - 1 - i)));
  put(octets, width);
}

static void set_u32(size_t at, uint32_t number) {
  for (size_t i = 0; i < 4; i++) out[at + i] = (uint8_t)(number >> (8 * (3 - i)));
}

static void put_bytes(pn_bytes_t bytes) {
  put_number(bytes.size, 4);
  put(bytes.start, bytes.size);
}

static void dump_all(pn_data_t *data);

static void dump_children(pn_data_t *data) {
  pn_data_enter(data);
  dump_all(data);
  pn_data_exit(data);
  put_number(0xff, 1);
}

static void dump(pn_data_t *data) {
  pn_type_t type = pn_data_type(data);
  put_number((uint64_t)type, 1);
  switch (type) {
  case PN_NULL: break;
  case PN_BOOL: put_number(pn_data_get_bool(data), 1); break;
  case PN_UBYTE: put_number(pn_data_get_ubyte(data), 1); break;
  case PN_BYTE: put_number((uint8_t)pn_data_get_byte(data), 1); break;
  case PN_USHORT: put_number(pn_data_get_ushort(data), 2); break;
  case PN_SHORT: put_number((uint16_t)pn_data_get_short(data), 2); break;
  case PN_UINT: put_number(pn_data_get_uint(data), 4); break;
  case PN_INT: put_number((uint32_t)pn_data_get_int(data), 4); break;
  case PN_CHAR: put_number(pn_data_get_char(data), 4); break;
  case PN_ULONG: put_number(pn_data_get_ulong(data), 8); break;
  case PN_LONG: put_number((uint64_t)pn_data_get_long(data), 8); break;
  case PN_TIMESTAMP: put_number((uint64_t)pn_data_get_timestamp(data), 8); break;
  /* The bits through the atom, so that no NaN passes through a floating-point register. */
  case PN_FLOAT: {
    pn_atom_t atom = pn_data_get_atom(data);
    uint32_t bits;
    memcpy(&bits, &atom.u, sizeof bits);
    put_number(bits, 4);
    break;
  }
  case PN_DOUBLE: {
    pn_atom_t atom = pn_data_get_atom(data);
    uint64_t bits;
    memcpy(&bits, &atom.u, sizeof bits);
    put_number(bits, 8);
    break;
  }
  case PN_DECIMAL32: put_number(pn_data_get_decimal32(data), 4); break;
  case PN_DECIMAL64: put_number(pn_data_get_decimal64(data), 8); break;
  case PN_DECIMAL128: {
    pn_decimal128_t decimal = pn_data_get_decimal128(data);
    put(decimal.bytes, 16);
    break;
  }
  case PN_UUID: {
    pn_uuid_t uuid = pn_data_get_uuid(data);
    put(uuid.bytes, 16);
    break;
  }
  case PN_BINARY: put_bytes(pn_data_get_binary(data)); break;
  case PN_STRING: put_bytes(pn_data_get_string(data)); break;
  case PN_SYMBOL: put_bytes(pn_data_get_symbol(data)); break;
  case PN_DESCRIBED: dump_children(data); break;
  case PN_ARRAY:
    put_number(pn_data_is_array_described(data), 1);
    put_number((uint64_t)pn_data_get_array_type(data), 1);
    put_number(pn_data_get_array(data), 4);
    dump_children(data);
    break;
  case PN_LIST:
    put_number(pn_data_get_list(data), 4);
    dump_children(data);
    break;
  case PN_MAP:
    put_number(pn_data_get_map(data), 4);
    dump_children(data);
    break;
  default: break;
  }
}

static void dump_all(pn_data_t *data) {
  while (pn_data_next(data)) dump(data);
}

static void value(pn_data_t *data, const uint8_t *octets, size_t len) {
  pn_data_clear(data);
  ssize_t consumed = pn_data_decode(data, (const char *)octets, len);
  put_number(consumed >= 0, 1);
  put_number(consumed >= 0 ? (uint64_t)consumed : 0, 4);
  size_t at = out_len;
  put_number(0, 4);
  if (consumed >= 0) {
    pn_data_rewind(data);
    dump_all(data);
  } else if (pn_data_errno(data)) {
    pn_error_clear(pn_data_error(data));
  }
  set_u32(at, (uint32_t)(out_len - at - 4));
}

static void put_section(pn_data_t *data) {
  size_t at = out_len;
  put_number(0, 4);
  pn_data_rewind(data);
  dump_all(data);
  set_u32(at, (uint32_t)(out_len - at - 4));
}

/* A text that may be missing, up to its first NUL, where a C string ends. */
static void put_text(const char *text) {
  put_number(text ? 1 + strlen(text) : 1, 4);
  put_number(text != NULL, 1);
  if (text) put(text, strlen(text));
}

static void put_id(pn_msgid_t id) {
  size_t at = out_len;
  put_number(0, 4);
  put_number((uint64_t)id.type, 1);
  switch (id.type) {
  case PN_ULONG: put_number(id.u.as_ulong, 8); break;
  case PN_UUID: put(id.u.as_uuid.bytes, 16); break;
  case PN_BINARY:
  case PN_STRING: put_bytes(id.u.as_bytes); break;
  default: break;
  }
  set_u32(at, (uint32_t)(out_len - at - 4));
}

static void put_field(uint64_t number, size_t width) {
  put_number(width, 4);
  put_number(number, width);
}

/* The fields in the order of src/message.rs, each after its length. */
static void message(pn_message_t *message, const uint8_t *octets, size_t len) {
  pn_message_clear(message);
  /* Proton asserts that there is something. */
  int error = len ? pn_message_decode(message, (const char *)octets, len) : 0;
  put_number(!error, 1);
  put_number(error ? 0 : len, 4);
  size_t at = out_len;
  put_number(0, 4);
  if (!error) {
    put_field(pn_message_is_durable(message), 1);
    put_field(pn_message_get_priority(message), 1);
    put_field(pn_message_get_ttl(message), 4);
    put_field(pn_message_is_first_acquirer(message), 1);
    put_field(pn_message_get_delivery_count(message), 4);
    put_id(pn_message_get_id(message));
    put_bytes(pn_message_get_user_id(message));
    put_text(pn_message_get_address(message));
    put_text(pn_message_get_subject(message));
    put_text(pn_message_get_reply_to(message));
    put_id(pn_message_get_correlation_id(message));
    put_text(pn_message_get_content_type(message));
    put_text(pn_message_get_content_encoding(message));
    put_field((uint64_t)pn_message_get_expiry_time(message), 8);
    put_field((uint64_t)pn_message_get_creation_time(message), 8);
    put_text(pn_message_get_group_id(message));
    put_field((uint32_t)pn_message_get_group_sequence(message), 4);
    put_text(pn_message_get_reply_to_group_id(message));
    put_section(pn_message_instructions(message));
    put_section(pn_message_annotations(message));
    put_section(pn_message_properties(message));
    put_section(pn_message_body(message));
    put_field(pn_message_is_inferred(message), 1);
  }
  set_u32(at, (uint32_t)(out_len - at - 4));
}

static int take(void *into, size_t len) { return fread(into, 1, len, stdin) == len; }

static uint32_t u32(const uint8_t *octets) {
  return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 | octets[3];
}

int main(void) {
  pn_data_t *data = checked(pn_data(0));
  pn_message_t *msg = checked(pn_message());
  uint8_t head[8];
  uint8_t *in = NULL;
  fprintf(stderr, "%d.%d.%d\n", PN_VERSION_MAJOR, PN_VERSION_MINOR, PN_VERSION_POINT);
  fflush(stderr);
  while (take(head, 8)) {
    uint32_t count = u32(head), len = u32(head + 4);
    in = checked(realloc(in, len ? len : 1));
    if (!take(in, len)) return 2;
    out_len = 0;
    put_number(0, 4);
    const uint8_t *at = in;
    for (uint32_t i = 0; i < count; i++) {
      uint32_t size = u32(at + 1);
      /* An allocation of exactly this size, so that reading past the end is seen by memory checkers. */
      uint8_t *octets = checked(malloc(size ? size : 1));
      memcpy(octets, at + 5, size);
      if (*at) {
        message(msg, octets, size);
      } else {
        value(data, octets, size);
      }
      free(octets);
      at += 5 + size;
    }
    set_u32(0, (uint32_t)(out_len - 4));
    if (fwrite(out, 1, out_len, stdout) != out_len) return 2;
    fflush(stdout);
  }
  free(in);
  free(out);
  pn_data_free(data);
  pn_message_free(msg);
  return 0;
}
