// Preloaded into a process, it counts the file calls below one folder and, at a chosen one, kills or stops the process,
// tears the write or fails with an error number; and it moves the process's clock. Armed by ctypes, see shim.py.
//
// cc -shared -fPIC -O1 -o shim.so shim.c -ldl

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, KILL, TEAR, FAIL, STOP };
enum { CHANGES = 1, READS = 2 };  // kinds of calls: those that change the disk, and the others

static char root[4096];
static size_t root_length;
static char below[65536];  // by descriptor: whether its file lies below the root
static int what, kinds, number, lasting, running;
static long at, calls, ahead;

void torture_arm(const char *folder, int action, int of_kinds, long call, int error, int for_ever) {
    strncpy(root, folder, sizeof root - 1);
    root_length = strlen(root);
    what = action, kinds = of_kinds, at = call, number = error, lasting = for_ever;
    calls = 0, running = 1;
}
long torture_disarm(void) { running = 0; return calls; }
void torture_clock(long seconds) { ahead = seconds; }

static int inside(int folder, const char *path) {
    if (path == NULL) return 0;
    if (path[0] != '/' && folder != AT_FDCWD) return folder >= 0 && folder < (int)sizeof below && below[folder];
    return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}
static int open_below(int descriptor) { return descriptor >= 0 && descriptor < (int)sizeof below && below[descriptor]; }

// Whether this call must fail. Does not return where it must kill.
static int fails(int kind) {
    if (!running || !(kind & kinds)) return 0;
    long call = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (what == NOTHING || call < at || (call > at && !(lasting && what == FAIL))) return 0;
    if (what == KILL || what == TEAR) kill(getpid(), SIGKILL);
    if (what == STOP) kill(getpid(), SIGSTOP);  // and goes on here once it is woken
    if (what != FAIL) return 0;
    errno = number;
    return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPEN(name, folder, declared, passed)                                                         \
    int name declared {                                                                              \
        REAL(name);                                                                                  \
        mode_t mode = 0;                                                                             \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                         \
            va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more);          \
        }                                                                                            \
        int ours = inside(folder, path);                                                             \
        if (ours && fails(flags & (O_CREAT | O_TRUNC) ? CHANGES : READS)) return -1;                 \
        int descriptor = real passed;                                                                \
        if (descriptor >= 0 && descriptor < (int)sizeof below) below[descriptor] = ours;             \
        return descriptor;                                                                           \
    }
OPEN(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPEN(openat64, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

int close(int descriptor) {
    REAL(close);
    if (descriptor >= 0 && descriptor < (int)sizeof below) below[descriptor] = 0;
    return real(descriptor);
}

ssize_t write(int descriptor, const void *data, size_t size) {
    REAL(write);
    if (open_below(descriptor)) {
        if (running && what == TEAR && (kinds & CHANGES) && calls + 1 == at) real(descriptor, data, size / 2);
        if (fails(CHANGES)) return -1;
    }
    return real(descriptor, data, size);
}
ssize_t read(int descriptor, void *data, size_t size) {
    REAL(read);
    if (open_below(descriptor) && fails(READS)) return -1;
    return real(descriptor, data, size);
}

#define CALL(result, name, declared, passed, ours, kind) \
    result name declared { REAL(name); if ((ours) && fails(kind)) return (result)-1; return real passed; }

CALL(ssize_t, pwrite64, (int f, const void *d, size_t n, off64_t o), (f, d, n, o), open_below(f), CHANGES)
CALL(int, fsync, (int f), (f), open_below(f), CHANGES)
CALL(int, fdatasync, (int f), (f), open_below(f), CHANGES)
CALL(int, ftruncate64, (int f, off64_t n), (f, n), open_below(f), CHANGES)
CALL(int, fchmod, (int f, mode_t m), (f, m), open_below(f), CHANGES)
CALL(int, chmod, (const char *p, mode_t m), (p, m), inside(AT_FDCWD, p), CHANGES)
CALL(int, fchmodat, (int d, const char *p, mode_t m, int f), (d, p, m, f), inside(d, p), CHANGES)
CALL(int, mkdir, (const char *p, mode_t m), (p, m), inside(AT_FDCWD, p), CHANGES)
CALL(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m), inside(d, p), CHANGES)
CALL(int, rmdir, (const char *p), (p), inside(AT_FDCWD, p), CHANGES)
CALL(int, link, (const char *p, const char *q), (p, q), inside(AT_FDCWD, q), CHANGES)
CALL(int, linkat, (int d, const char *p, int e, const char *q, int f), (d, p, e, q, f), inside(e, q), CHANGES)
CALL(int, symlink, (const char *p, const char *q), (p, q), inside(AT_FDCWD, q), CHANGES)
CALL(int, rename, (const char *p, const char *q), (p, q), inside(AT_FDCWD, q), CHANGES)
CALL(int, renameat, (int d, const char *p, int e, const char *q), (d, p, e, q), inside(e, q), CHANGES)
CALL(int, unlink, (const char *p), (p), inside(AT_FDCWD, p), CHANGES)
CALL(int, unlinkat, (int d, const char *p, int f), (d, p, f), inside(d, p), CHANGES)
CALL(int, utimensat, (int d, const char *p, const struct timespec t[2], int f), (d, p, t, f), inside(d, p), CHANGES)
CALL(int, stat, (const char *restrict p, struct stat *restrict s), (p, s), inside(AT_FDCWD, p), READS)
CALL(int, lstat, (const char *restrict p, struct stat *restrict s), (p, s), inside(AT_FDCWD, p), READS)
CALL(int, stat64, (const char *restrict p, struct stat64 *restrict s), (p, s), inside(AT_FDCWD, p), READS)
CALL(int, lstat64, (const char *restrict p, struct stat64 *restrict s), (p, s), inside(AT_FDCWD, p), READS)

DIR *opendir(const char *path) {
    REAL(opendir);
    return inside(AT_FDCWD, path) && fails(READS) ? NULL : real(path);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int failed = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += ahead;
    return failed;
}
time_t time(time_t *now) {
    struct timespec read;
    clock_gettime(CLOCK_REALTIME, &read);
    if (now) *now = read.tv_sec;
    return read.tv_sec;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    REAL(gettimeofday);
    int failed = real(now, zone);
    now->tv_sec += ahead;
    return failed;
}
