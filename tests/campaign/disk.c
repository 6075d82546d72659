/* A disk that fails: preloaded between a process and libc, for the files below one folder.

Armed with a number n, it does its mischief at the n-th call that changes such a file: the process dies before or after it, a write is
torn or short, the disk is full from then on, or the power goes: what was not synced is lost, each call of it by itself or all of it.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OFF, KILL_BEFORE, KILL_AFTER, TORN, FULL, BROKEN, SHORT, POWER };

typedef struct change {
    struct change *before;
    int kind; /* 'w' bytes were written or cut, 'm' a file was moved, 'u' one was removed, 'l' one got another name */
    char path[1024], other[1024], kept[1024];
    ino_t inode, folder, other_folder;
    off_t at, size;
    size_t length, had;
    char *bytes;
} change;

static int mode, wanted, calls;
static unsigned seed;
static char root[1024];
static change *unsynced;
static int kept_files;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int real_rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    return real(from, to);
}

static int real_link(const char *from, const char *to) {
    REAL(int, "link", const char *, const char *);
    return real(from, to);
}

static int real_unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return real(path);
}

static ssize_t real_pwrite(int fd, const void *bytes, size_t length, off_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return real(fd, bytes, length, at);
}

static int below(const char *path) { return strncmp(path, root, strlen(root)) == 0; }

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 1023);
    path[length < 0 ? 0 : length] = 0;
    return length > 0 && below(path);
}

static ino_t folder_of(const char *path) {
    char copy[1024];
    struct stat found;
    snprintf(copy, sizeof copy, "%s", path);
    char *slash = strrchr(copy, '/');
    if (slash) *slash = 0;
    return stat(copy, &found) ? 0 : found.st_ino;
}

static change *remember(int kind, const char *path) {
    change *made = calloc(1, sizeof *made);
    made->kind = kind;
    made->before = unsynced;
    made->folder = folder_of(path);
    snprintf(made->path, sizeof made->path, "%s", path);
    unsynced = made;
    return made;
}

static void keep(change *made, const char *path) {
    snprintf(made->kept, sizeof made->kept, "%.900s-lost-%d-%d", root, getpid(), kept_files++);
    if (real_link(path, made->kept)) made->kept[0] = 0;
}

static void remember_bytes(int fd, const char *path, off_t at, size_t length) {
    struct stat found;
    if (fstat(fd, &found)) return;
    change *made = remember('w', path);
    made->inode = found.st_ino, made->at = at, made->length = length, made->size = found.st_size;
    made->bytes = calloc(1, length ? length : 1);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reading = open(link, O_RDONLY);
    ssize_t had = reading < 0 ? 0 : pread(reading, made->bytes, length, at);
    made->had = had < 0 ? 0 : had;
    if (reading >= 0) close(reading);
}

static void forget(ino_t inode, int is_folder) {
    for (change **place = &unsynced; *place;) {
        change *each = *place;
        int synced = is_folder ? each->kind != 'w' && (each->folder == inode || each->other_folder == inode) : each->kind == 'w' && each->inode == inode;
        if (!synced) { place = &each->before; continue; }
        if (each->kept[0]) real_unlink(each->kept);
        *place = each->before;
        free(each->bytes), free(each);
    }
}

static void take_back(change *each, int all) {
    if (each->kind == 'm') {
        real_rename(each->other, each->path);
        if (each->kept[0]) real_rename(each->kept, each->other);
    } else if (each->kind == 'u') {
        if (each->kept[0]) real_rename(each->kept, each->path);
    } else if (each->kind == 'l') {
        real_unlink(each->path);
    } else {
        int fd = open(each->path, O_WRONLY);
        if (fd < 0) return;
        real_pwrite(fd, each->bytes, all ? each->had : each->length, each->at);
        if (all && ftruncate(fd, each->size)) perror("ftruncate");
        close(fd);
    }
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void lose_power(void) {
    mode = OFF;
    int all = rand_r(&seed) % 2;
    for (change *each = unsynced; each; each = each->before) if (all || rand_r(&seed) % 2) take_back(each, all);
    for (change *each = unsynced; each; each = each->before) if (each->kept[0]) real_unlink(each->kept);
    die();
}

/* Called from Python in the process that is to suffer. */
void disk_arm(const char *folder, int how, int nth, unsigned chance) {
    snprintf(root, sizeof root, "%s", folder);
    calls = 0, wanted = nth, seed = chance, mode = how;
}

int disk_calls(void) { return calls; }

/* Whether this is the call, after what needs nothing of it was done. */
static int now(void) {
    int hit = ++calls == wanted;
    if (hit && mode == KILL_BEFORE) die();
    if (hit && mode == POWER) lose_power();
    return hit;
}

static ssize_t changed(int fd, const void *bytes, size_t length, off_t at) {
    char path[1024];
    ssize_t done;
    pthread_mutex_lock(&lock);
    if (!mode || !path_of(fd, path)) {
        pthread_mutex_unlock(&lock);
        return real_pwrite(fd, bytes, length, at);
    }
    int hit = now();
    if ((mode == FULL && calls >= wanted) || (mode == BROKEN && hit)) {
        errno = mode == FULL ? ENOSPC : EIO;
        done = -1;
    } else {
        if (mode == POWER) remember_bytes(fd, path, at, length);
        done = real_pwrite(fd, bytes, hit && (mode == TORN || mode == SHORT) ? (length + 1) / 2 : length, at);
        if (hit && (mode == TORN || mode == KILL_AFTER)) die();
    }
    int problem = errno;
    pthread_mutex_unlock(&lock);
    errno = problem;
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return changed(fd, bytes, length, at); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return changed(fd, bytes, length, at); }

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    char path[1024];
    if (!mode || !path_of(fd, path)) return real(fd, bytes, length);
    int flags = fcntl(fd, F_GETFL);
    off_t at = lseek(fd, 0, flags & O_APPEND ? SEEK_END : SEEK_CUR);
    if (at < 0) return real(fd, bytes, length);
    ssize_t done = changed(fd, bytes, length, at);
    if (done > 0) lseek(fd, at + done, SEEK_SET);
    return done;
}

static int cut(int fd, off_t size) {
    REAL(int, "ftruncate64", int, off_t);
    char path[1024];
    if (!mode || !path_of(fd, path)) return real(fd, size);
    pthread_mutex_lock(&lock);
    int hit = now();
    struct stat found;
    if (mode == POWER && !fstat(fd, &found) && found.st_size > size) remember_bytes(fd, path, size, found.st_size - size);
    int done = real(fd, size);
    if (hit && mode == KILL_AFTER) die();
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int fd, off64_t size) { return cut(fd, size); }
int ftruncate(int fd, off_t size) { return cut(fd, size); }

static int synced(int fd, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    char path[1024];
    if (!mode || !path_of(fd, path)) return real(fd);
    pthread_mutex_lock(&lock);
    int hit = now(), done = 0;
    struct stat found;
    if (hit && mode == BROKEN) {
        errno = EIO;
        done = -1;
    } else {
        done = real(fd);
        if (mode == POWER && !done && !fstat(fd, &found)) forget(found.st_ino, S_ISDIR(found.st_mode));
        if (hit && mode == KILL_AFTER) die();
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

int rename(const char *from, const char *to) {
    if (!mode || !below(to)) return real_rename(from, to);
    pthread_mutex_lock(&lock);
    int hit = now();
    if (mode == POWER) {
        change *made = remember('m', from);
        snprintf(made->other, sizeof made->other, "%s", to);
        made->other_folder = folder_of(to);
        keep(made, to);
    }
    int done = real_rename(from, to);
    if (hit && mode == KILL_AFTER) die();
    pthread_mutex_unlock(&lock);
    return done;
}

int link(const char *from, const char *to) {
    if (!mode || !below(to)) return real_link(from, to);
    pthread_mutex_lock(&lock);
    int hit = now(), done = -1;
    if ((mode == FULL && calls >= wanted) || (mode == BROKEN && hit)) errno = mode == FULL ? ENOSPC : EIO;
    else {
        done = real_link(from, to);
        if (mode == POWER && !done) remember('l', to);
        if (hit && mode == KILL_AFTER) die();
    }
    int problem = errno;
    pthread_mutex_unlock(&lock);
    errno = problem;
    return done;
}

int unlink(const char *path) {
    if (!mode || !below(path) || strstr(path, "-lost-")) return real_unlink(path);
    pthread_mutex_lock(&lock);
    int hit = now();
    if (mode == POWER) keep(remember('u', path), path);
    int done = real_unlink(path);
    if (hit && mode == KILL_AFTER) die();
    pthread_mutex_unlock(&lock);
    return done;
}
