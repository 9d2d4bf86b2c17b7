/* Links the static library that has no std into a C program, and runs it. */
#include <stddef.h>
#include <stdio.h>

void amqp1_give_memory(unsigned char *start, size_t len);
unsigned amqp1_exercise(void);

/* The toolchain's own alloc is built to unwind and names this; nothing unwinds here (panic = "abort"). */
void rust_eh_personality(void);
void rust_eh_personality(void) {}

static unsigned char memory[1 << 20];

int main(void) {
    amqp1_give_memory(memory, sizeof memory);
    unsigned wrong = amqp1_exercise();
    if (wrong != 0) {
        fprintf(stderr, "piece %u went wrong\n", wrong);
        return 1;
    }
    puts("codec, auth, engine and broker ran without std");
    return 0;
}
