/* Runs functions of a compiled kernel library on its target machine, without TVM.
 *
 *     driver LIBRARY < calls > results
 *
 * A call is a line "NAME REPEAT COUNT" and COUNT arguments in the order of the function's
 * parameters: each a line "I|O CODE BITS NDIM EXTENT...", followed by the bytes of an input.
 * The results are the outputs' bytes, one after another. The few runtime functions that TVM's
 * compiled code calls are defined here; parallel loops run as one task. For every error the exit
 * status is 1, with a line on stderr.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tvm/ffi/c_api.h>

enum { ALIGNMENT = 64, MOST_ARGUMENTS = 64, MOST_AXES = 8, MOST_LETTERS = 256 };

typedef int (*Function)(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);

typedef struct {
  DLTensor tensor;
  size_t size;
  char direction;
  int64_t shape[MOST_AXES], strides[MOST_AXES];
} Argument;

static void fail(const char* what, const char* which) {
  fprintf(stderr, "%s %s\n", what, which);
  exit(1);
}

static void* aligned(size_t size) {
  void* memory = aligned_alloc(ALIGNMENT, (size / ALIGNMENT + 1) * ALIGNMENT);
  if (memory == NULL) fail("out of memory for", "an array");
  return memory;
}

/* The functions that compiled code calls: directly, or through a variable in the library with the
 * same name after two underscores, which the runtime sets when it loads the library. */

void TVMFFIErrorSetRaisedFromCStrParts(const char* kind, const char** parts, int32_t count) {
  fprintf(stderr, "%s: ", kind);
  for (int32_t i = 0; i < count; ++i) fputs(parts[i] != NULL ? parts[i] : "", stderr);
  fputc('\n', stderr);
}

void TVMFFIErrorSetRaisedFromCStr(const char* kind, const char* message) {
  TVMFFIErrorSetRaisedFromCStrParts(kind, &message, 1);
}

void* TVMBackendAllocWorkspace(int type, int id, uint64_t size, int code, int bits) {
  (void)type, (void)id, (void)code, (void)bits;
  return aligned(size);
}

int TVMBackendFreeWorkspace(int type, int id, void* memory) {
  (void)type, (void)id;
  free(memory);
  return 0;
}

typedef struct {
  void* sync_handle;
  int32_t num_task;
} ParallelGroup;

int TVMBackendParallelLaunch(int (*task)(int, ParallelGroup*, void*), void* data, int tasks) {
  (void)tasks;
  ParallelGroup alone = {NULL, 1};
  return task(0, &alone, data);
}

int TVMBackendParallelBarrier(int task, ParallelGroup* group) {
  (void)task, (void)group;
  return 0;
}

static void* open_library(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fail("cannot load", dlerror());
  struct {
    const char* name;
    void* address;
  } hooks[] = {
      {"__TVMFFIErrorSetRaisedFromCStr", (void*)TVMFFIErrorSetRaisedFromCStr},
      {"__TVMBackendAllocWorkspace", (void*)TVMBackendAllocWorkspace},
      {"__TVMBackendFreeWorkspace", (void*)TVMBackendFreeWorkspace},
      {"__TVMBackendParallelLaunch", (void*)TVMBackendParallelLaunch},
      {"__TVMBackendParallelBarrier", (void*)TVMBackendParallelBarrier},
  };
  for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; ++i) {
    void** variable = (void**)dlsym(library, hooks[i].name);
    if (variable != NULL) *variable = hooks[i].address;
  }
  return library;
}

static void read_argument(Argument* a) {
  int code, bits, axes;
  if (scanf(" %c %d %d %d", &a->direction, &code, &bits, &axes) != 4 || axes < 0 ||
      axes > MOST_AXES || bits < 8)
    fail("bad description of", "an argument");
  for (int k = 0; k < axes; ++k) {
    long long extent;
    if (scanf("%lld", &extent) != 1 || extent < 0) fail("bad shape of", "an argument");
    a->shape[k] = extent;
  }
  getchar(); /* the line break */
  a->size = bits / 8;
  for (int k = axes - 1; k >= 0; --k) {
    a->strides[k] = a->size * 8 / bits;
    if (__builtin_mul_overflow(a->size, (size_t)a->shape[k], &a->size) || a->size > SIZE_MAX / 2)
      fail("too many bytes for", "an argument");
  }
  a->tensor = (DLTensor){aligned(a->size), {kDLCPU, 0},  axes, {code, bits, 1},
                         a->shape,         a->strides, 0};
  /* A result that the kernel does not write is noticed: its floats are NaN. */
  memset(a->tensor.data, 0xFF, a->size);
  if (a->direction == 'I' && fread(a->tensor.data, 1, a->size, stdin) != a->size)
    fail("too few bytes for", "an argument");
}

int main(int argc, char** argv) {
  static Argument arguments[MOST_ARGUMENTS];
  char name[MOST_LETTERS], symbol[MOST_LETTERS + 16];
  int repeat, count, found;
  if (argc != 2) fail("usage: driver", "LIBRARY");
  void* library = open_library(argv[1]);
  while ((found = scanf("%255s %d %d", name, &repeat, &count)) == 3) {
    snprintf(symbol, sizeof symbol, "__tvm_ffi_%s", name);
    Function function = (Function)dlsym(library, symbol);
    if (function == NULL) fail("the library has no function", name);
    if (count > MOST_ARGUMENTS) fail("too many arguments for", name);
    TVMFFIAny packed[MOST_ARGUMENTS], result;
    memset(packed, 0, sizeof packed);
    for (int i = 0; i < count; ++i) {
      read_argument(&arguments[i]);
      packed[i].type_index = kTVMFFIDLTensorPtr;
      packed[i].v_ptr = &arguments[i].tensor;
    }
    memset(&result, 0, sizeof result);
    for (int r = 0; r < repeat; ++r)
      if (function(NULL, packed, count, &result) != 0) fail("error in", name);
    for (int i = 0; i < count; ++i) {
      const Argument* a = &arguments[i];
      if (a->direction == 'O' && fwrite(a->tensor.data, 1, a->size, stdout) != a->size)
        fail("cannot write the results of", name);
      free(a->tensor.data);
    }
  }
  if (found != EOF) fail("bad description of", "a call");
  return 0;
}
