/* A disk that is full while the file named by FULL_DISK_WHILE exists: for files, not for sockets and pipes.
 *
 * Preloaded into the process under test: it needs no right to mount anything. Writes within a file succeed, as on a
 * real disk; what would make it longer does not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int would_grow(int fd, off_t end) {
    struct stat file;
    const char *mark = getenv("FULL_DISK_WHILE");
    if (!mark || access(mark, F_OK) != 0 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return 0;
    return end > file.st_size;
}

#define REFUSE_GROWTH(fd, end) \
    if (would_grow(fd, end)) { \
        errno = ENOSPC; \
        return -1; \
    }

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    REFUSE_GROWTH(fd, at + (off_t)size)
    return real(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    REFUSE_GROWTH(fd, lseek(fd, 0, SEEK_CUR) + (off_t)size)
    return real(fd, data, size);
}

int ftruncate64(int fd, off_t size) {
    static int (*real)(int, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "ftruncate64");
    REFUSE_GROWTH(fd, size)
    return real(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int posix_fallocate(int fd, off_t at, off_t size) {
    static int (*real)(int, off_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "posix_fallocate");
    if (would_grow(fd, at + size)) return ENOSPC;
    return real(fd, at, size);
}
