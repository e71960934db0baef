/* A QEMU plugin that counts executed instructions and writes a sample of them.
 *
 * -plugin count.so,out=PATH[,first=N,last=N,period=N,window=N]: of the instructions from the first
 * to the last, `window` of every `period` are written, one line per translation block with its
 * instructions in hexadecimal. The last line is the number of all executed instructions. Blocks are
 * written whole: the position of a block is that of its first instruction.
 *
 * Debian's QEMU has no header for plugins, so the functions that are used are declared here.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct block;
struct instruction;
size_t qemu_plugin_tb_n_insns(const struct block *);
struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
size_t qemu_plugin_insn_size(const struct instruction *);
void *qemu_plugin_insn_haddr(const struct instruction *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);

int qemu_plugin_version = PLUGIN_VERSION;

struct translated {
  uint64_t instructions;
  char text[]; /* ends in a line break */
};

static uint64_t executed, first, last, period = 1, window = 1;
static FILE *file;

/* Each window has a pseudo-random place in its period, so that windows do not match a loop. */
static int is_sampled(uint64_t place) {
  uint64_t start = place / period * 2654435761u % (period - window + 1);
  return place % period - start < window;
}

static void execute(unsigned cpu, void *data) {
  const struct translated *block = data;
  if (executed >= first && executed < last && is_sampled(executed - first))
    fputs(block->text, file);
  executed += block->instructions;
}

static void translate(plugin_id id, struct block *block) {
  size_t count = qemu_plugin_tb_n_insns(block), bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += qemu_plugin_insn_size(qemu_plugin_tb_get_insn(block, i));
  struct translated *kept = malloc(sizeof *kept + 2 * bytes + count + 1);
  char *end = kept->text;
  kept->instructions = count;
  for (size_t i = 0; i < count; i++) {
    const struct instruction *instruction = qemu_plugin_tb_get_insn(block, i);
    const unsigned char *code = qemu_plugin_insn_haddr(instruction);
    for (size_t n = 0; n < qemu_plugin_insn_size(instruction); n++) end += sprintf(end, "%02x", code[n]);
    *end++ = i + 1 < count ? ' ' : '\n';
  }
  *end = 0;
  qemu_plugin_register_vcpu_tb_exec_cb(block, execute, 0, kept);
}

static void finish(plugin_id id, void *data) {
  fprintf(file, "%llu\n", (unsigned long long)executed);
  fclose(file);
}

int qemu_plugin_install(plugin_id id, const void *info, int count, char **arguments) {
  for (int i = 0; i < count; i++) {
    char *value = strchr(arguments[i], '=');
    if (!value) return 1;
    *value++ = 0;
    uint64_t number = strtoull(value, NULL, 10);
    if (!strcmp(arguments[i], "out")) file = fopen(value, "w");
    if (!strcmp(arguments[i], "first")) first = number;
    if (!strcmp(arguments[i], "last")) last = number;
    if (!strcmp(arguments[i], "period")) period = number;
    if (!strcmp(arguments[i], "window")) window = number;
  }
  if (!file) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, finish, NULL);
  return 0;
}
