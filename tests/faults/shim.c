/* Preloaded into a run and its children: counts what they write under one folder and, at a given
 * one, kills the run, reports a full disk from then on, or fails that one call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 0, KILL = 1, FULL = 2, BROKEN = 3 };

struct control { long armed, fault, nth, count, fired, process; };

static volatile struct control *control;
static const char *root;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_CONTROL");
    root = getenv("FAULT_ROOT");
    if (!path || !root) return;
    int file = open(path, O_RDWR);
    if (file < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED) control = map;
}

static int is_ours(const char *path) {
    size_t length = strlen(path);
    if (strncmp(path, root, strlen(root)) != 0) return 0;
    return !(length > 4 && strcmp(path + length - 4, ".log") == 0);
}

/* 0: go on; else the error number to fail with. */
static int stopped(const char *path) {
    if (!is_ours(path)) return 0;
    if (control->fired && control->fault == FULL) return ENOSPC;
    if (!control->armed || control->fired) return 0;
    if (__sync_add_and_fetch(&control->count, 1) != control->nth) return 0;
    control->fired = 1;
    if (control->fault == KILL) {
        kill((pid_t)control->process, SIGKILL);
        kill(getpid(), SIGKILL);
    }
    return control->fault == FULL ? ENOSPC : EIO;
}

static int stopped_at(int file) {
    char link[64], path[PATH_MAX];
    int before = errno;
    if (!control) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length <= 0) return 0;
    path[length] = 0;
    return stopped(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define STOP(check) do { int error = (check); if (error) { errno = error; return -1; } } while (0)

ssize_t write(int file, const void *data, size_t size) {
    STOP(stopped_at(file));
    return REAL(write)(file, data, size);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    STOP(stopped_at(file));
    return REAL(pwrite)(file, data, size, at);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    STOP(stopped_at(file));
    return REAL(pwrite64)(file, data, size, at);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    STOP(stopped_at(file));
    return REAL(writev)(file, parts, count);
}
int fsync(int file) {
    STOP(stopped_at(file));
    return REAL(fsync)(file);
}
int fdatasync(int file) {
    STOP(stopped_at(file));
    return REAL(fdatasync)(file);
}
int rename(const char *from, const char *to) {
    if (control) STOP(stopped(to));
    return REAL(rename)(from, to);
}
