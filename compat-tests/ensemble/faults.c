/* Loaded in front of a server (LD_PRELOAD): makes its disk slow or fail, and its clock jump, as the
 * file that ZABRA_FAULTS names says. That file is three integers, changed while the server runs:
 *
 *   milliseconds that every fsync, fdatasync and msync takes longer
 *   how many of the next ones fail with EIO
 *   seconds by which the clock of the day is off
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { DELAY, FAILURES, CLOCK, COUNT };

static volatile int *faults;

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("ZABRA_FAULTS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = mmap(NULL, COUNT * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (map != MAP_FAILED) faults = map;
}

/* In small steps, so that a disk that is well again is so at once. */
static int disturb(void) {
  if (!faults) return 0;
  for (int waited = 0; waited < faults[DELAY]; waited += 5) usleep(5000);
  if (faults[FAILURES] <= 0) return 0;
  __sync_fetch_and_sub(&faults[FAILURES], 1);
  errno = EIO;
  return -1;
}

#define NEXT(name, type) \
  static __typeof__(type) next; \
  if (!next) next = (type)dlsym(RTLD_NEXT, name)

int fsync(int fd) {
  NEXT("fsync", int (*)(int));
  return disturb() ? -1 : next(fd);
}

int fdatasync(int fd) {
  NEXT("fdatasync", int (*)(int));
  return disturb() ? -1 : next(fd);
}

int msync(void *start, size_t size, int flags) {
  NEXT("msync", int (*)(void *, size_t, int));
  return disturb() ? -1 : next(start, size, flags);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  NEXT("clock_gettime", int (*)(clockid_t, struct timespec *));
  int status = next(clock, now);
  if (faults && clock == CLOCK_REALTIME) now->tv_sec += faults[CLOCK];
  return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  NEXT("gettimeofday", int (*)(struct timeval *, void *));
  int status = next(now, zone);
  if (faults) now->tv_sec += faults[CLOCK];
  return status;
}
