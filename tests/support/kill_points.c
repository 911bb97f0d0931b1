/* Counts what a process does to the disk below one folder, ends the process at a chosen point of it, and records it.

   Preloaded (LD_PRELOAD) by index_crashes.py, which calls kp_arm() in the process to be ended. A point is a write, a
   flush, a rename, a removal or a new file or folder below the armed folder. Mode 0 dies before the point, mode 1 after
   half of the bytes of a write. With a log folder, each point is a line of LOG/events, and a flushed file is copied to
   LOG/NUMBER: what a loss of power at that moment would leave of it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile long count = 0, last = -1;
static int half = 0;
static char root[4096], log_folder[4096];

void kp_arm(long at, int mode, const char *folder, const char *log) {
    count = 0;
    half = mode;
    strncpy(root, folder, sizeof root - 1);
    strncpy(log_folder, log, sizeof log_folder - 1);
    last = at;
}
long kp_count(void) { return count; }

static int below(const char *path) {
    size_t n = strlen(root);
    return last >= 0 && path && !strncmp(path, root, n) && (path[n] == '/' || !path[n]);
}
static int path_of(int fd, char *path) {
    char link[64];
    if (last < 0 || fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long n = syscall(SYS_readlinkat, AT_FDCWD, link, path, 4095);
    path[n < 0 ? 0 : n] = 0;
    return below(path);
}
static int path_at(int folder, const char *name, char *path) {
    if (name[0] == '/' || folder == AT_FDCWD) {
        snprintf(path, 4096, "%s", name);
        return below(path);
    }
    if (!path_of(folder, path)) return 0;
    size_t n = strlen(path);
    snprintf(path + n, 4096 - n, "/%s", name);
    return 1;
}
static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}
static void record(const char *what, const char *path, const char *to) {
    char name[4200], line[9000];
    if (!log_folder[0]) return;
    snprintf(name, sizeof name, "%s/events", log_folder);
    int n = snprintf(line, sizeof line, "%s\t%s\t%s\n", what, path, to);
    int file = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_write, file, line, n);
    syscall(SYS_close, file);
}
static void keep(int fd, long number) {
    char name[4200], bytes[65536];
    struct stat status;
    if (!log_folder[0] || fstat(fd, &status) || !S_ISREG(status.st_mode)) return;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int from = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY);
    snprintf(name, sizeof name, "%s/%ld", log_folder, number);
    int to = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (long n; (n = syscall(SYS_read, from, bytes, sizeof bytes)) > 0;) syscall(SYS_write, to, bytes, n);
    syscall(SYS_close, from);
    syscall(SYS_close, to);
}
/* True where the process is to die at this point. */
static int point(const char *what, const char *path, const char *to) {
    long n = __sync_add_and_fetch(&count, 1);
    record(what, path, to);
    return n == last;
}

#define REAL(f)                                                                                                        \
    static __typeof__(&f) real;                                                                                        \
    if (!real) real = (__typeof__(&f))dlsym(RTLD_NEXT, #f)
#define DIE_HERE(what, inside, path, to)                                                                               \
    if ((inside) && point(what, path, to)) die()

#define WRITE(f, arguments, call, some)                                                                                \
    ssize_t f arguments {                                                                                              \
        REAL(f);                                                                                                       \
        char path[4096];                                                                                               \
        if (path_of(fd, path) && point("write", path, "")) {                                                           \
            if (half && n > 1) real some;                                                                              \
            die();                                                                                                     \
        }                                                                                                              \
        return real call;                                                                                              \
    }
WRITE(write, (int fd, const void *b, size_t n), (fd, b, n), (fd, b, n / 2))
WRITE(pwrite, (int fd, const void *b, size_t n, off_t at), (fd, b, n, at), (fd, b, n / 2, at))
WRITE(pwrite64, (int fd, const void *b, size_t n, off64_t at), (fd, b, n, at), (fd, b, n / 2, at))

size_t fwrite(const void *b, size_t size, size_t n, FILE *file) {
    REAL(fwrite);
    char path[4096];
    if (last >= 0 && path_of(fileno(file), path) && point("write", path, "")) {
        if (half) {
            real(b, size, n / 2, file);
            fflush(file);
        }
        die();
    }
    return real(b, size, n, file);
}
int fclose(FILE *file) {
    REAL(fclose);
    char path[4096];
    DIE_HERE("write", last >= 0 && file && path_of(fileno(file), path), path, "");
    return real(file);
}

#define FLUSH(f)                                                                                                       \
    int f(int fd) {                                                                                                    \
        REAL(f);                                                                                                       \
        char path[4096], number[32];                                                                                   \
        if (path_of(fd, path)) {                                                                                       \
            snprintf(number, sizeof number, "%ld", count + 1);                                                         \
            keep(fd, count + 1);                                                                                       \
            if (point("flush", path, number)) die();                                                                   \
        }                                                                                                              \
        return real(fd);                                                                                               \
    }
FLUSH(fsync)
FLUSH(fdatasync)

#define TRUNCATE(f, offset)                                                                                            \
    int f(int fd, offset size) {                                                                                       \
        REAL(f);                                                                                                       \
        char path[4096];                                                                                               \
        DIE_HERE("write", path_of(fd, path), path, "");                                                                \
        return real(fd, size);                                                                                         \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    REAL(rename);
    DIE_HERE("rename", below(to), from, to);
    return real(from, to);
}
int unlink(const char *path) {
    REAL(unlink);
    DIE_HERE("remove", below(path) && !access(path, F_OK), path, "");
    return real(path);
}
int unlinkat(int folder, const char *name, int flags) {
    REAL(unlinkat);
    char path[4096];
    DIE_HERE("remove", path_at(folder, name, path), path, "");
    return real(folder, name, flags);
}
int rmdir(const char *path) {
    REAL(rmdir);
    DIE_HERE("remove", below(path), path, "");
    return real(path);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    DIE_HERE("folder", below(path) && access(path, F_OK), path, "");
    return real(path, mode);
}

#define OPEN(f)                                                                                                        \
    int f(const char *path, int flags, ...) {                                                                          \
        REAL(f);                                                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;                                              \
        va_end(rest);                                                                                                  \
        DIE_HERE("file", (flags & O_CREAT) && below(path) && access(path, F_OK), path, "");                            \
        DIE_HERE("write", (flags & O_TRUNC) && below(path) && !access(path, F_OK), path, "");                          \
        return real(path, flags, mode);                                                                                \
    }
OPEN(open)
OPEN(open64)

#define FOPEN(f)                                                                                                       \
    FILE *f(const char *path, const char *mode) {                                                                      \
        REAL(f);                                                                                                       \
        DIE_HERE(access(path, F_OK) ? "file" : "write", mode[0] != 'r' && below(path), path, "");                      \
        return real(path, mode);                                                                                       \
    }
FOPEN(fopen)
FOPEN(fopen64)
