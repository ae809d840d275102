/* Between a process and the disk: records, fails or kills at the Nth write, sync or truncation.
 *
 * Loaded with LD_PRELOAD by the tests in this folder, which compile it:
 *   cc -shared -fPIC -O2 -o shim.so shim.c -ldl
 *
 *   SHIM_DIR     only files in this folder are looked at
 *   SHIM_LOG     where to record what was done: see `record`
 *   SHIM_FAIL    OP:N:ERROR, the Nth operation fails: OP is write, sync or truncate, ERROR is EIO
 *                or ENOSPC
 *   SHIM_STICKY  set: every later operation of that kind fails too
 *   SHIM_KILL    OP:N:WHO, SIGKILL before the Nth operation: WHO is self, parent or both
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_MAX_BYTES 512

enum operation { WRITE, SYNC, TRUNCATE, OPERATIONS };
static const char *const names[OPERATIONS] = {"write", "sync", "truncate"};

struct plan {
  int operation; /* -1: none */
  long number;
  char what[16];
};

static pid_t planned; /* the process that has read its plans: a fork reads its own */
static const char *folder;
static int log_fd = -1;
static long counts[OPERATIONS];
static int is_sticky;
static struct plan failing = {-1, 0, ""};
static struct plan killing = {-1, 0, ""};

static void read_plan(const char *variable, struct plan *plan) {
  const char *said = getenv(variable);
  char name[16];
  plan->operation = -1;
  if (said == NULL) return;
  if (sscanf(said, "%15[^:]:%ld:%15s", name, &plan->number, plan->what) != 3) return;
  for (int each = 0; each < OPERATIONS; each++)
    if (strcmp(name, names[each]) == 0) plan->operation = each;
}

static void prepare(void) {
  if (planned == getpid()) return;
  planned = getpid();
  memset(counts, 0, sizeof counts);
  folder = getenv("SHIM_DIR");
  is_sticky = getenv("SHIM_STICKY") != NULL;
  read_plan("SHIM_FAIL", &failing);
  read_plan("SHIM_KILL", &killing);
  const char *path = getenv("SHIM_LOG");
  if (path != NULL)
    log_fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_inside(const char *path) {
  prepare();
  size_t length = folder == NULL ? 0 : strlen(folder);
  return length > 0 && strncmp(path, folder, length) == 0;
}

/* Say whether a descriptor is of a file in the folder, and of which. */
static int is_watched(int fd, char *path) {
  char link[64];
  prepare();
  if (folder == NULL || fd < 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX_BYTES - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return is_inside(path);
}

/* One record: kind, length of the path, offset, length of the data; then the path and the data. */
static void record(char kind, const char *path, int64_t offset, const void *data, int64_t size) {
  if (log_fd < 0) return;
  char head[19];
  uint16_t path_size = strlen(path);
  head[0] = kind;
  memcpy(head + 1, &path_size, 2);
  memcpy(head + 3, &offset, 8);
  memcpy(head + 11, &size, 8);
  struct iovec parts[3] = {
      {head, sizeof head}, {(void *)path, path_size}, {(void *)data, (size_t)size}};
  (void)!syscall(SYS_writev, log_fd, parts, 3);
}

/* Count an operation; kill where that is the plan. Gives the error it is to fail with, or 0.
 * Marks of what was acknowledged are no part of the store, and never fail. */
static int meet(enum operation operation, const char *path) {
  const char *name = strrchr(path, '/');
  if (name != NULL && strcmp(name, "/acknowledged") == 0) return 0;
  long count = __atomic_add_fetch(&counts[operation], 1, __ATOMIC_SEQ_CST);
  if (killing.operation == (int)operation && count == killing.number) {
    if (strcmp(killing.what, "self") != 0) kill(getppid(), SIGKILL);
    if (strcmp(killing.what, "parent") != 0) kill(getpid(), SIGKILL);
  }
  if (failing.operation != (int)operation) return 0;
  if (count != failing.number && !(is_sticky && count > failing.number)) return 0;
  return strcmp(failing.what, "ENOSPC") == 0 ? ENOSPC : EIO;
}

static int refuse(int error) {
  errno = error;
  return -1;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  char path[PATH_MAX_BYTES];
  int watched = is_watched(fd, path);
  int error = watched ? meet(WRITE, path) : 0;
  if (error) return refuse(error);
  ssize_t done = syscall(SYS_pwrite64, fd, data, size, offset);
  if (watched && done > 0) record('W', path, offset, data, done);
  return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return pwrite64(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size) {
  char path[PATH_MAX_BYTES];
  int watched = is_watched(fd, path);
  int error = watched ? meet(WRITE, path) : 0;
  if (error) return refuse(error);
  off64_t offset = watched ? lseek64(fd, 0, SEEK_CUR) : 0;
  ssize_t done = syscall(SYS_write, fd, data, size);
  if (watched && done > 0) record('W', path, offset, data, done);
  return done;
}

static int synchronise(int fd, long call) {
  char path[PATH_MAX_BYTES];
  int watched = is_watched(fd, path);
  int error = watched ? meet(SYNC, path) : 0;
  if (error) return refuse(error);
  int failed = syscall(call, fd);
  if (watched && !failed) record('S', path, 0, NULL, 0);
  return failed;
}

int fdatasync(int fd) { return synchronise(fd, SYS_fdatasync); }

int fsync(int fd) { return synchronise(fd, SYS_fsync); }

int ftruncate64(int fd, off64_t size) {
  char path[PATH_MAX_BYTES];
  int watched = is_watched(fd, path);
  int error = watched ? meet(TRUNCATE, path) : 0;
  if (error) return refuse(error);
  int failed = syscall(SYS_ftruncate, fd, size);
  if (watched && !failed) record('T', path, size, NULL, 0);
  return failed;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int unlink(const char *path) {
  int failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (!failed && is_inside(path)) record('U', path, 0, NULL, 0);
  return failed;
}

/* The new name is the data of the record. */
int rename(const char *old, const char *new) {
  int failed = syscall(SYS_renameat, AT_FDCWD, old, AT_FDCWD, new);
  if (!failed && is_inside(old)) record('R', old, 0, new, strlen(new));
  return failed;
}
